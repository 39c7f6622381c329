"""A memory in a Ray actor: it outlives a crash of its process, and runs can share it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.memory_locks import hold
from sparft_plugin.hosts.verl.memory_server import RUNS, MemoryServer, spec_of
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup, Terms
from sparft_plugin.memory.journal import group_arrays

logger = logging.getLogger(__name__)

NAMESPACE = "sparft"
PATIENCE_S = 60.0
PAUSE_S = 0.2


class SharedMemory:
    """One run's side of a memory that lives in a named Ray actor.

    The folder names the actor: runs of one Ray cluster that name the same folder share it. The
    first run makes the actor and the actor ends with it; a run that outlives it, or the actor's
    process, makes it anew from the folder. A step that was under way is asked again and is written
    once.

    Parameters
    ----------
    memory : IntrinsicReward
        An empty memory, which tells the method, its options and the encoder.
    folder : str or Path
        Where the actor keeps snapshot and journal.

    Raises
    ------
    SparftError
        If Ray does not run here, or other runs use the memory with another encoder or option.
    """

    def __init__(self, memory: IntrinsicReward, folder: str | Path) -> None:
        if not ray.is_initialized():
            raise SparftError(
                "sparft.memory.scope=actor needs a running Ray; set sparft.memory.scope=driver."
            )
        self.folder = Path(folder).absolute()
        self.run = uuid4().hex
        self.restarts = 0
        self.lost_steps = 0
        self._spec = spec_of(memory)
        self._number = 0
        self._step = 0
        self._life: str | None = None
        self._metrics: dict[str, float] = {}
        self._actor: Any = None
        # Held as long as this process lives, so that the actor knows its living runs.
        self._lock = hold(self.folder / RUNS / self.run)
        joined = self._call("join", self.run, self._spec)
        self._life = joined["life"]
        if joined["others"]:
            logger.warning(
                "sparft: this run joins the memory in %s, which %d other runs use, as it is: %d "
                "steps were written.",
                self.folder,
                joined["others"],
                joined["step"],
            )

    def advance(self, groups: Sequence[MemoryGroup], scored: int) -> list[Terms]:
        """Score the first `scored` groups against the memory as it stands, then write all."""
        self._number += 1
        answer = self._call("advance", self.run, self._number, group_arrays(groups), scored)
        self._metrics = answer["metrics"]
        ends = np.cumsum([len(group.responses) for group in groups[:scored]])[:-1]
        return [Terms(*part) for part in np.split(answer["terms"], ends, axis=1)]

    def metrics(self) -> dict[str, float]:
        """The memory's own as of the last step, and how often this run found it gone.

        ``restarts`` counts the actor's deaths, ``lost_steps`` the written steps that went with it.
        """
        return {
            **self._metrics,
            "restarts": float(self.restarts),
            "lost_steps": float(self.lost_steps),
        }

    def dumps(self) -> bytes:
        """Return the memory's state for the run's checkpoint; the actor keeps a snapshot too."""
        state: bytes = self._call("dumps")
        return state

    def loads(self, state: bytes) -> None:
        """Roll the memory back to a checkpoint; with other runs alive, go on with it as it is.

        Raises
        ------
        SparftError
            If the state is of another memory.
        """
        if self._call("resume", self.run, state)["others"]:
            logger.warning(
                "sparft: other runs use the memory in %s, so this run does not bring back that of "
                "its checkpoint: it goes on with the memory as it is, and is no exact repetition.",
                self.folder,
            )

    def _call(self, method: str, *arguments: Any) -> Any:
        """Ask the actor, and if it is gone its successor.

        Raises
        ------
        SparftError
            What the actor refused, or that it did not come back in time.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if self._actor is None:
                    self._connect()
                answer = self._ask(method, *arguments)
                break
            except RayActorError as error:
                self._actor = None
                if time.monotonic() > end:
                    raise SparftError(
                        f"the memory actor of {self.folder} died and did not come back within "
                        f"{PATIENCE_S:.0f} s ({error}); resume from the last checkpoint."
                    ) from error
                time.sleep(PAUSE_S)
        if isinstance(answer, dict):
            self._step = answer["step"]
        return answer

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except RayTaskError as error:
            if isinstance(error.cause, SparftError):
                raise SparftError(str(error.cause)) from error
            raise

    def _connect(self) -> None:
        """Find the actor or make it; if it is not the one this run knew, count what is lost."""
        here = ray.get_runtime_context().get_node_id()
        self._actor = (
            ray.remote(MemoryServer)
            .options(
                name=f"sparft_memory {self.folder}",
                namespace=NAMESPACE,
                get_if_exists=True,
                num_cpus=0,
                # The folder may lie on a disk of this machine.
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
            )
            .remote(str(self.folder))
        )
        if self._life is None:
            return
        found = self._ask("rejoin", self.run, self._spec)
        if found["life"] == self._life:
            return
        lost = max(0, self._step - found["step"])
        self._life, self._step = found["life"], found["step"]
        self.restarts += 1
        self.lost_steps += lost
        logger.warning(
            "sparft: the memory actor of %s had died; it is back with %d steps, %d are lost.",
            self.folder,
            found["step"],
            lost,
        )
