"""One memory for several runs: what the memory actor does, told without Ray."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from sparft_plugin import plugins
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.memory_locks import hold, living
from sparft_plugin.hosts.verl.memory_replies import Replies, Reply
from sparft_plugin.memory.archive import Arrays
from sparft_plugin.memory.base import IntrinsicReward, Terms
from sparft_plugin.memory.files import MemoryFolder
from sparft_plugin.memory.journal import groups_of

logger = logging.getLogger(__name__)

RUNS = "runs"
LOCK_PATIENCE_S = 30.0


class MemoryServer:
    """A memory kept in a folder, for every run that names the folder.

    Calls come one by one, in the order of their arrival, and each is done whole. A run has a lock
    on a file of its name in the folder's ``runs`` for as long as it lives. While others live, a
    run takes the memory as it stands; a run that is alone brings its own: an empty one, or that
    of its checkpoint.

    Parameters
    ----------
    folder : str
        Where snapshot, journal and last replies are kept.

    Attributes
    ----------
    life : str
        Another one for each server process, so that a run notices that one took over.
    """

    def __init__(self, folder: str) -> None:
        self.life = uuid4().hex
        self.folder = Path(folder)
        self.store = MemoryFolder(self.folder / "memory")
        self.replies = Replies(self.folder / "replies.npz")
        self._memory: IntrinsicReward | None = None
        self._lock: IO[bytes] | None = None

    @property
    def memory(self) -> IntrinsicReward:
        """The memory; `join` or `rejoin` comes before all else."""
        assert self._memory is not None
        return self._memory

    def join(self, run: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Let a run that starts take part.

        Parameters
        ----------
        run : str
            Name of the run, and of the file that it holds.
        spec : mapping
            ``name``, ``encoder`` and ``options`` of the run's memory.

        Returns
        -------
        dict
            ``life``; ``step``, the memory's step count; ``others``, how many other runs live.

        Raises
        ------
        SparftError
            If other runs live whose memory has another encoder or another option.
        """
        others = self._others(run)
        if others:
            self._open(spec)
        else:
            self._own_folder()
            self._begin(build(spec))
        return self._answer(others=len(others))

    def rejoin(self, run: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Let a run go on that met another server before; see `join`."""
        self._open(spec)
        return self._answer(others=len(self._others(run)))

    def resume(self, run: str, state: bytes) -> dict[str, Any]:
        """Go back to the state of a run's checkpoint, unless other runs live; see `join`.

        Raises
        ------
        SparftError
            If the state is of another memory; nothing has changed then.
        """
        others = self._others(run)
        if not others:
            fresh = build(spec_of(self.memory))
            fresh.loads(state)
            self._begin(fresh)
        return self._answer(others=len(others))

    def advance(self, run: str, number: int, packed: Arrays, scored: int) -> dict[str, Any]:
        """Score the first groups of a step, then write all of them; a repeated step is not written.

        Parameters
        ----------
        run : str
            Name of the run.
        number : int >= 1
            The run's own number of the step, greater by one each time.
        packed : dict
            The groups, see `group_arrays`.
        scored : int >= 1
            How many of them are scored.

        Returns
        -------
        dict
            ``life``, ``step``, ``terms`` (see `Reply`) and ``metrics``.
        """
        reply = self.replies.find(run, number)
        if reply is None:
            groups = groups_of(packed)
            terms = np.hstack([stack_terms(t) for t in self.memory.score(groups[:scored])])
            reply = Reply(number, self.memory.step + 1, terms)
            # In this order: after a death in between, the journal tells whether the reply counts.
            self.replies.put(run, reply)
            self.memory.write(groups)
            self.store.append(self.memory.step, groups)
        return self._answer(terms=reply.terms, metrics=self.memory.metrics())

    def dumps(self) -> bytes:
        """Return the memory's whole state, and make it the folder's snapshot."""
        self.store.save(self.memory)
        return self.memory.dumps()

    def _answer(self, **told: Any) -> dict[str, Any]:
        return {"life": self.life, "step": self.memory.step, **told}

    def _others(self, run: str) -> list[str]:
        return living(self.folder / RUNS, without=run)

    def _begin(self, memory: IntrinsicReward) -> None:
        """Take a memory over, and forget what the folder held."""
        self.replies.clear()
        self.store.save(memory)
        self._memory = memory

    def _open(self, spec: Mapping[str, Any]) -> None:
        """Read the folder, if this process has not; refuse a memory that is not the run's."""
        if self._memory is None:
            self._own_folder()
            memory = build(spec)
            restored = self.store.load(memory)
            if restored.lost_steps:
                logger.warning(
                    "sparft: %d steps of the memory are lost: %s",
                    restored.lost_steps,
                    restored.reason,
                )
            self.replies.load(memory.step)
            self.store.save(memory)
            self._memory = memory
        self._check_same(spec)

    def _own_folder(self) -> None:
        """Keep every other server out of the folder."""
        if self._lock is None:
            self._lock = hold(self.folder / "server.lock", LOCK_PATIENCE_S)
        if self._lock is None:
            raise SparftError(
                f"another process keeps its memory in {self.folder}; set sparft.memory.folder to "
                "another folder, or start both runs on one Ray cluster to share it."
            )

    def _check_same(self, spec: Mapping[str, Any]) -> None:
        ours = spec_of(self.memory)
        told = {**ours["options"], "name": ours["name"], "encoder": ours["encoder"]}
        asked = {**spec["options"], "name": spec["name"], "encoder": spec["encoder"]}
        for key in sorted(told.keys() | asked.keys()):
            if told.get(key) != asked.get(key):
                raise SparftError(
                    f"the memory in {self.folder} is used with sparft.memory.{key}="
                    f"{told.get(key)!r}, this run has {asked.get(key)!r}; set it to the same, or "
                    "name another sparft.memory.folder."
                )


def spec_of(memory: IntrinsicReward) -> dict[str, Any]:
    """What it takes to build an equal memory with nothing in it; see `build`."""
    return {"name": memory.name, "encoder": memory.encoder, "options": memory.options()}


def build(spec: Mapping[str, Any]) -> IntrinsicReward:
    """Build an empty memory from `spec_of` another."""
    options = {**spec["options"], "encoder": spec["encoder"]}
    built: IntrinsicReward = plugins.build("intrinsic reward", spec["name"], options)
    return built


def stack_terms(terms: Terms) -> NDArray[np.float64]:
    """Return the terms of one group as rows exploit, explore and total, shape (3, g)."""
    return np.stack([terms.exploit, terms.explore, terms.total])
