"""One training run, without a host: picks go out, finished groups come in."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Curriculum, Pick, PromptPool
from sparft_plugin.curriculum.state import check_keys
from sparft_plugin.errors import SparftError
from sparft_plugin.memory.collapse import CollapseWatch
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.metrics import (
    Losses,
    PartTimer,
    group_metrics,
    pass_rate_per_arm,
    reward_metrics,
    step_stats,
    worker_metrics,
)
from sparft_plugin.training.remembering import Remembering

if TYPE_CHECKING:
    from sparft_plugin.training.pool import Pool

logger = logging.getLogger(__name__)

STATE_VERSION = 3
READABLE = (2, STATE_VERSION)
"""Version 2 had the memory as npz bytes."""
STATE_KEYS = ("version", "curriculum", "memory", "collapse", "pool")


@dataclass(frozen=True)
class StepResult:
    """What a step of finished groups comes to."""

    metrics: dict[str, float]
    """By full name, ``sparft/...``; `TrainingRun.times` has the milliseconds."""
    terms: dict[str, NDArray[np.float64]]
    """Intrinsic reward of each rollout, shape (rollouts,), by uid of its group, to be added where
    the trainer reads rewards; only of trained groups that are complete, none without a memory."""


class WhereOthersAreSilent(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to stderr what no handler of the root logger takes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether every handler of the root logger would drop the record."""
        return all(record.levelno < handler.level for handler in logging.root.handlers)


def speak() -> None:
    """Make the package's warnings heard.

    Where vLLM's server is imported, as in verl's driver, the root logger and its handlers are
    raised to ERROR, and with them every logger that has no level of its own.
    """
    ours = logging.getLogger("sparft_plugin")
    ours.setLevel(logging.WARNING)
    if not any(isinstance(handler, WhereOthersAreSilent) for handler in ours.handlers):
        handler = WhereOthersAreSilent()
        handler.setFormatter(logging.Formatter("%(levelname)s:%(asctime)s:%(message)s"))
        ours.addHandler(handler)


class TrainingRun:
    """Curriculum and memory of a run, fed by finished groups.

    A host asks it for picks, brings back the finished groups and adds the terms it returns to the
    trainer's rewards. Nothing here imports a host.

    Parameters
    ----------
    options : SparftConfig
        The checked ``sparft`` section.
    pool : PromptPool or None
        What the curriculum chooses from; None without a curriculum.
    text_of : callable
        Returns the text of a prompt id, for the memory's queries.
    saved_pool : str or None
        What a resumed run makes the same pool of, kept in the state.
    """

    def __init__(
        self,
        options: SparftConfig,
        pool: PromptPool | None,
        text_of: Callable[[str], str],
        saved_pool: str | None = None,
    ) -> None:
        speak()
        self.saved_pool = saved_pool
        self.timer = PartTimer()
        self.losses = Losses(options.max_incomplete)
        self._source: str | None = None
        self.curriculum: Curriculum | None = options.build_curriculum()
        if self.curriculum is not None:
            assert pool is not None
            self.curriculum.start(pool, options.seed)
        memory = options.build_memory()
        self.remembering = (
            Remembering(memory, text_of, self.timer, options.memory_encoder) if memory else None
        )
        self.collapse = CollapseWatch(fade=options.fade) if memory else None

    @classmethod
    def over(
        cls, pool: Pool | None, options: SparftConfig, texts: Mapping[str, str]
    ) -> TrainingRun:
        """Make the run over a pool, or without one over prompts whose texts come with training."""
        if pool is None:
            return cls(options, None, texts.__getitem__)
        return cls(options, pool.prompts, pool.text_of, pool.saved)

    def plan(self, steps: int | None) -> None:
        """Tell the curriculum how many steps the whole run has, None if unknown, before any."""
        if self.curriculum is not None:
            self.curriculum.ledger.planned_steps = steps

    def select(self, n: int) -> list[Pick]:
        """Ask the curriculum for n picks."""
        assert self.curriculum is not None
        with self.timer.part("select"):
            picks = self.curriculum.select(n)
            self.encode_queries(pick.prompt.id for pick in picks)
            return picks

    def encode_queries(self, prompt_ids: Iterable[str]) -> None:
        """Begin to encode prompts ahead of their first group, if there is a memory."""
        if self.remembering is not None:
            self.remembering.encode_queries(prompt_ids)

    def unanswered(self, groups: Iterable[FinishedGroup]) -> set[int]:
        """Pick ids that are outstanding and no group of these."""
        if self.curriculum is None:
            return set()
        return set(self.curriculum.outstanding) - {group.pick_id for group in groups}

    def finish(
        self,
        trained: Sequence[FinishedGroup],
        cleared: Sequence[FinishedGroup] = (),
        in_flight: Set[int] | None = None,
        lost: int = 0,
    ) -> StepResult:
        """Take in the finished groups of a step; return their metrics and intrinsic rewards.

        Groups that lost a rollout are counted and otherwise left out: they are not learned from,
        remembered or paid.

        Parameters
        ----------
        trained : sequence of FinishedGroup
            Groups that go on to the trainer.
        cleared : sequence of FinishedGroup
            Groups that the host took out, for a filter or as stale; learned from, not trained on.
        in_flight : set of int or None
            Pick ids of the groups that are still to come; all others that were not answered
            expire. None where the host has drained them all.
        lost : int
            Groups that will never come, because a rollout of theirs failed.

        Raises
        ------
        SparftError
            If too many groups lost a rollout, accuracies were read from different things, or
            responses were embedded by another encoder than the driver's.
        """
        self._check_alike([*trained, *cleared])
        incomplete = lost + sum(not group.complete for group in [*trained, *cleared])
        self.losses.observe(incomplete, lost + len(trained) + len(cleared))
        trained = [group for group in trained if group.complete]
        cleared = [group for group in cleared if group.complete]
        groups = [*trained, *cleared]
        metrics = group_metrics(trained, cleared) | {"feedback/incomplete": float(incomplete)}
        with self.timer.part("observe"):
            late = self._observe(groups, in_flight)
        if in_flight is not None:
            metrics["feedback/late"] = late
        if self.curriculum is not None:
            metrics |= pass_rate_per_arm(groups)
            metrics |= {f"curriculum/{k}": v for k, v in self.curriculum.metrics().items()}
        terms: list[NDArray[np.float64]] = []
        if self.remembering is not None:
            terms, of_memory = self._remember(self.remembering, trained, cleared)
            metrics |= of_memory
        metrics |= worker_metrics(groups)
        return StepResult(
            {f"sparft/{name}": value for name, value in metrics.items()},
            {group.uid: term for group, term in zip(trained, terms, strict=False)},
        )

    def times(self) -> dict[str, float]:
        """Milliseconds spent in the plugin since the last call, by part."""
        return {f"sparft/ms/{part}": ms for part, ms in self.timer.take().items()}

    def _check_alike(self, groups: Sequence[FinishedGroup]) -> None:
        """Refuse accuracies read from different things, and embeddings of different encoders."""
        sources = {source for group in groups for source in group.sources}
        sources |= {self._source} if self._source else set()
        if len(sources) > 1:
            raise SparftError(
                f"accuracy was read from {' and '.join(sorted(sources))}, because the reward "
                "function returns other keys for some responses; return the same keys for every "
                "response, or say how accuracy follows by sparft.accuracy."
            )
        self._source = next(iter(sources), None)
        encoders = {encoder for group in groups for encoder in group.encoders}
        if self.remembering is not None and encoders:
            own = self.remembering.embedder.identity
            for other in sorted(encoders - {own}):
                raise SparftError(
                    f"responses were embedded with {other} and prompts with {own}; install the "
                    "same sparft.memory.encoder on every node."
                )

    def _remember(
        self,
        remembering: Remembering,
        trained: Sequence[FinishedGroup],
        cleared: Sequence[FinishedGroup],
    ) -> tuple[list[NDArray[np.float64]], dict[str, float]]:
        """Terms of the trained groups, faded if a collapse asks for it, and the metrics."""
        assert self.collapse is not None
        groups = [*trained, *cleared]
        stats = step_stats(groups)
        for sentence in self.collapse.observe(stats) if stats else ():
            logger.warning("sparft: %s", sentence)
        metrics = {f"collapse/{k}": v for k, v in self.collapse.metrics().items()}
        metrics["memory/blank"] = sum(group.blank for group in groups)
        terms = remembering.score_and_write(trained, cleared)
        stored = remembering.memory.metrics()
        metrics |= {f"memory/{k}": float(v) for k, v in stored.items()}
        if not terms:
            return [], metrics
        terms = [replace(term, total=self.collapse.factor * term.total) for term in terms]
        return [term.total for term in terms], metrics | reward_metrics(terms)

    def _observe(self, groups: Sequence[FinishedGroup], in_flight: Set[int] | None) -> int:
        """Tell the curriculum of the groups, and which picks will never come.

        Returns how many came too late: their prompt left the pool between checkpoint and resume.
        """
        if self.curriculum is None:
            return 0
        outcomes = expected = [group.outcome for group in groups]
        if in_flight is not None:
            waiting = self.curriculum.outstanding
            expected = [outcome for outcome in outcomes if outcome.pick.pick_id in waiting]
        self.curriculum.observe(expected)
        self.curriculum.expire(set(self.curriculum.outstanding) - (in_flight or set()))
        return len(outcomes) - len(expected)

    def state_dict(self) -> dict[str, Any]:
        """State as data: tensors for the memory, JSON text for the rest.

        The tensors are the memory's own, so they must be saved before the next step.
        """
        with self.timer.part("save"):
            return {
                "version": STATE_VERSION,
                "curriculum": json.dumps(self.curriculum.state_dict()) if self.curriculum else None,
                "memory": self.remembering.state_dict() if self.remembering else None,
                "collapse": json.dumps(self.collapse.state_dict()) if self.collapse else None,
                "pool": self.saved_pool,
            }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state saved by the same configuration; any other is a SparftError."""
        if state.get("version") not in READABLE:
            raise SparftError(
                f"the sparft state has version {state.get('version')}, this package reads "
                f"{STATE_VERSION}; resume with the version that wrote it."
            )
        # The dataset has read the pool; older checkpoints have none.
        check_keys("sparft state of the checkpoint", {"pool": None, **state}, STATE_KEYS)
        for part, configured in (("curriculum", self.curriculum), ("memory", self.remembering)):
            if (state[part] is None) != (configured is None):
                raise SparftError(
                    f"the checkpoint was written {'with' if configured is None else 'without'} "
                    f"sparft.{part}, the config differs; resume with the sparft name of that run."
                )
        if self.curriculum is not None:
            changed = self.curriculum.load_state_dict(json.loads(state["curriculum"]))
            if changed is not None:
                logger.warning("sparft: %s", changed)
        if self.remembering is not None:
            self.remembering.load_state_dict(state["memory"])
        if self.collapse is not None:
            self.collapse.load_state_dict(json.loads(state["collapse"]))
