"""What commands share that measure every prompt with a model: output, progress, interruption."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.atomic import check_link

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it."""


def check_output(out: Path, inputs: Iterable[str], log: Path | None = None) -> None:
    """Refuse an output that cannot be written, or that would write to an input.

    Parameters
    ----------
    out : path
        Where ``.jsonl`` is to be written.
    inputs : iterable of str
        Files and folders that are read.
    log : path, optional
        A file that is written beside it.

    Raises
    ------
    SparftError
        If it is no ``.jsonl`` in an existing folder, a folder, an input, or a link that leads
        nowhere.
    """
    if out.suffix != ".jsonl":
        raise SparftError(f"{out} must end in .jsonl.")
    if not out.parent.is_dir():
        raise SparftError(f"the folder {out.parent} does not exist; create it first.")
    written = {out.resolve(), (log or out).resolve(), *out.resolve().parents}
    if written & {Path(path).resolve() for path in inputs}:
        name = f"{out} or its log" if log else out
        raise SparftError(f"{name} is an input, or in one; choose another output.")
    if out.is_dir():
        raise SparftError(f"{out} is a folder; choose another output.")
    check_link(out)


def progress(total: int, known: int) -> Any:
    """Progress bar over prompts on stderr, of which some are done."""
    from tqdm import tqdm

    return tqdm(total=total, initial=known, unit="prompt", file=sys.stderr, smoothing=0.1)


def interrupted(bar: Any, done: int, path: Path) -> int:
    """Say what is done after Ctrl-C and how to go on; the exit code."""
    bar.close()
    sys.stderr.write(
        f"sparft: interrupted; {done} of {bar.total} prompts are in {path}, and the same command "
        "goes on from there.\n"
    )
    return INTERRUPTED
