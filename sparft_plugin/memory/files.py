"""A memory on disk: a snapshot, and a journal of the steps since."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup
from sparft_plugin.memory.journal import pack_step, unpack_step

SMALL_JOURNAL = 64 * 2**20
"""Bytes that a journal may have even if the snapshot is smaller."""
_BASE = re.compile(r"base-(\d{9})\.npz")
_STEP = re.compile(r"step-(\d{9})-(\d{9})\.npz")


@dataclass(frozen=True)
class Restored:
    """What `MemoryFolder.load` put back.

    Parameters
    ----------
    step : int >= 0
        The memory's step count now.
    journal_steps : int >= 0
        How many of these steps came from the journal.
    lost_steps : int >= 0
        Later steps that the journal had and that could not be put back.
    reason : str or None
        Why not; None if nothing was lost.
    """

    step: int
    journal_steps: int
    lost_steps: int
    reason: str | None = None


class MemoryFolder:
    """A folder that keeps a memory step by step.

    ``base-G.npz`` is the whole memory, and ``step-G-S.npz`` are the groups of step S, written
    later: to load is to read the base and to write the steps again, which is exact. A new base
    has the next number G, and makes all files of other numbers void. Every file is written
    under another name, forced to the disk and renamed, so it is there whole or not at all, and it
    is read only if its fingerprint is right. A folder has one writer.

    Parameters
    ----------
    path : Path or str
        Made if it does not exist.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._memory: IntrinsicReward | None = None
        self._journal_bytes = 0

    def save(self, memory: IntrinsicReward) -> None:
        """Write the whole memory; the steps appended from now on are this memory's."""
        generation = self._generation() + 1
        self._write(self._base(generation), memory.dump_into)
        for path in self.path.iterdir():
            match = _BASE.fullmatch(path.name) or _STEP.fullmatch(path.name)
            if match and int(match[1]) != generation or path.suffix == ".tmp":
                path.unlink()
        self._memory, self._journal_bytes = memory, 0

    def append(self, step: int, groups: Sequence[MemoryGroup]) -> None:
        """Add a step to the journal, on disk before this returns.

        Where the journal has outgrown the snapshot, the memory is saved whole instead.

        Parameters
        ----------
        step : int >= 1
            The memory's step count, the groups being written.
        groups : sequence of MemoryGroup
            As they were given to `IntrinsicReward.write`.

        Raises
        ------
        SparftError
            If no memory was saved or loaded, or it does not stand at this step.
        """
        if self._memory is None or self._memory.step != step:
            stands = "nowhere" if self._memory is None else f"at step {self._memory.step}"
            raise SparftError(
                f"step {step} cannot be appended to {self.path}: its memory stands {stands}; save "
                "or load the memory first, and append each step once it is written."
            )
        entry = pack_step(step, groups)
        base = self._base(self._generation())
        if self._journal_bytes + len(entry) > max(SMALL_JOURNAL, base.stat().st_size):
            self.save(self._memory)
            return
        self._write(self._step(step), lambda file: file.write(entry))
        self._journal_bytes += len(entry)

    def load(self, memory: IntrinsicReward) -> Restored:
        """Put back what the folder holds; nothing if it is empty.

        Where a step is missing or damaged, everything before it is put back and the steps from
        there on are given up: they are counted in the answer, and no longer in the folder.

        Raises
        ------
        SparftError
            If the base is damaged or of another memory; see `IntrinsicReward.loads`.
        """
        generation = self._generation()
        if not generation:
            return Restored(memory.step, 0, 0)
        base = self._base(generation)
        try:
            with base.open("rb") as file:
                memory.loads(file)
        except SparftError as error:
            raise SparftError(f"{base}: {error}") from error
        self._memory = memory
        begin, journal = memory.step, self._journal(generation)
        self._journal_bytes = sum(path.stat().st_size for path in journal.values())
        reason = self._replay(memory, journal)
        lost = max(journal, default=begin) - memory.step
        replayed = memory.step - begin
        if reason is not None:
            self.save(memory)
        return Restored(memory.step, replayed, lost, reason)

    def _replay(self, memory: IntrinsicReward, journal: dict[int, Path]) -> str | None:
        """Write the journal's steps again, and say why it ends before its last step."""
        while journal and memory.step < max(journal):
            step = memory.step + 1
            if step not in journal:
                return f"{self._step(step)} is missing."
            try:
                memory.write(unpack_step(journal[step].read_bytes(), step))
            except (SparftError, OSError) as error:
                return f"{journal[step]}: {error}"
        return None

    def _generation(self) -> int:
        """Number of the newest base; 0 if there is none."""
        names = (_BASE.fullmatch(path.name) for path in self.path.iterdir())
        return max((int(match[1]) for match in names if match), default=0)

    def _journal(self, generation: int) -> dict[int, Path]:
        found = ((_STEP.fullmatch(path.name), path) for path in self.path.iterdir())
        return {int(m[2]): path for m, path in found if m and int(m[1]) == generation}

    def _base(self, generation: int) -> Path:
        return self.path / f"base-{generation:09d}.npz"

    def _step(self, step: int) -> Path:
        return self.path / f"step-{self._generation():09d}-{step:09d}.npz"

    def _write(self, path: Path, fill: Callable[[IO[bytes]], object]) -> None:
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
