"""verl's replay buffer, with the feedback read out before advantages are computed."""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from sparft_plugin.hosts.verl import training
from sparft_plugin.hosts.verl.groups import FinishedGroup, read_groups


class FeedbackReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """Tell the curriculum and the memory about every finished group, on the driver.

    Parameters
    ----------
    sampler_kwargs : mapping
        The settings that verl gives to its own buffer only: ``filter_groups``,
        ``train_batch_size``, ``gen_batch_size``, ``sync_refill_failed_groups``; and
        ``poll_interval`` in seconds, default 2.0 as in verl.
    **kwargs
        What verl gives to every buffer.
    """

    def __init__(self, sampler_kwargs: Any, **kwargs: Any) -> None:
        filters = sampler_kwargs.get("filter_groups") or {}
        metric = filters.get("metric") if filters.get("enable", False) else None
        refill_failed = bool(sampler_kwargs.get("sync_refill_failed_groups", False))
        batch_size = sampler_kwargs["train_batch_size"]
        one_by_one = metric is not None or refill_failed
        super().__init__(
            sampler_kwargs=sampler_kwargs,
            poll_interval=sampler_kwargs.get("poll_interval", 2.0),
            filter_groups_metric=metric,
            train_batch_size=batch_size,
            gen_batch_size=1 if one_by_one else sampler_kwargs["gen_batch_size"] or batch_size,
            max_inflight_gen_batches=filters.get("max_inflight_gen_batches", 1) if metric else 1,
            sync_refill_failed_groups=refill_failed,
            **kwargs,
        )
        self._cleared: list[FinishedGroup] = []

    def _clear_groups(self, partition_id: str, uids: set[str]) -> None:
        """Read groups that a filter discards before verl clears them: they are observations too."""
        if partition_id == "train" and uids:
            run = training.current()
            tags = {
                key: tag
                for key, tag in self.partitions[partition_id].items()
                if key.split("_")[0] in uids
            }
            self._cleared += read_groups(partition_id, tags, run.memory is not None)
        super()._clear_groups(partition_id, uids)

    def sample(
        self, global_steps: int, partition_id: str, batch_size: int
    ) -> tuple[Any, dict[str, Any]]:
        """Sample as verl does; then learn, add the intrinsic reward and report metrics."""
        batch, metrics = super().sample(global_steps, partition_id, batch_size)
        if partition_id != "train":
            return batch, metrics
        cleared, self._cleared = self._cleared, []
        return batch, metrics | training.current().finish(
            partition_id, dict(zip(batch.keys, batch.tags, strict=True)), cleared
        )
