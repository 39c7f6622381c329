"""Give up the memory of checkpoints that nothing can resume from any more."""

from __future__ import annotations

from pathlib import Path


def forget_pruned(checkpoints: Path, keep: int | None) -> None:
    """Delete ``data.pt`` of checkpoints whose actor verl has pruned.

    verl's ``trainer.max_actor_ckpt_to_keep`` deletes weights only, so a memory of gigabytes would
    stay with each step. What can be resumed from stays whole: the newest complete checkpoint and
    all after it, and every one whose actor is there. Where the newest one's actor is not, the
    workers save on other disks than this one, and nothing is deleted.

    Parameters
    ----------
    checkpoints : Path
        ``trainer.default_local_dir``.
    keep : int or None
        ``trainer.max_actor_ckpt_to_keep``; None keeps all.
    """
    tracker = checkpoints / "latest_checkpointed_iteration.txt"
    if not keep or not tracker.exists():
        return
    newest = int(tracker.read_text())
    if not (checkpoints / f"global_step_{newest}" / "actor").exists():
        return
    for file in checkpoints.glob("global_step_*/data.pt"):
        step = int(file.parent.name.removeprefix("global_step_"))
        if step < newest and not (file.parent / "actor").exists():
            file.unlink()
