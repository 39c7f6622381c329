"""One training run on the driver: what the dataset and verl's trainer share."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Curriculum, Pick, PromptPool
from sparft_plugin.curriculum.state import check_keys
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.groups import FinishedGroup
from sparft_plugin.hosts.verl.losses import Losses
from sparft_plugin.hosts.verl.metrics import (
    encoding_outlived_rewards,
    group_metrics,
    pass_rate_per_arm,
    reward_metrics,
    step_stats,
)
from sparft_plugin.hosts.verl.remembering import Remembering
from sparft_plugin.hosts.verl.speaking import speak
from sparft_plugin.hosts.verl.timing import PartTimer
from sparft_plugin.memory.base import Terms
from sparft_plugin.memory.collapse import CollapseWatch

logger = logging.getLogger(__name__)

STATE_VERSION = 3
READABLE = (2, STATE_VERSION)
"""Version 2 had the memory as npz bytes."""
STATE_KEYS = ("version", "curriculum", "memory", "collapse", "pool")
_current: TrainingRun | None = None

Pay = Callable[[Sequence[FinishedGroup], Sequence[Terms]], None]
"""Adds each trained group's intrinsic reward where the trainer will read it."""


@dataclass(frozen=True)
class InFlight:
    """Groups that are still to come, where a trainer does not drain them all.

    Parameters
    ----------
    count : int
        How many.
    picks : callable
        Reads their pick ids; costs a look-up, so it is asked only where `count` shows a gap.
    """

    count: int
    picks: Callable[[], set[int]]


class TrainingRun:
    """Curriculum and memory of a run, fed by finished groups.

    The training dataset makes it and asks for picks; verl's trainer, in the same process, brings
    the finished groups through an adapter. Nothing here imports verl.

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
        self.saved_pool = saved_pool
        self.timer = PartTimer()
        self.heard = False
        """Whether an adapter has asked for this run, which it does to bring groups."""
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

    def finish(
        self,
        trained: Sequence[FinishedGroup],
        cleared: Sequence[FinishedGroup],
        pay: Pay,
        in_flight: InFlight | None = None,
        lost: int = 0,
    ) -> dict[str, float]:
        """Take in the finished groups of a step, pay the intrinsic reward, return the metrics.

        Groups that lost a rollout are counted and otherwise left out: they are not learned from,
        remembered or paid.

        Parameters
        ----------
        trained : sequence of FinishedGroup
            Groups that go on to the trainer.
        cleared : sequence of FinishedGroup
            Groups that verl took out, for a filter or as stale; they are learned from, but not
            trained on.
        pay : callable
            See `Pay`; called once if there is a memory and a trained group.
        in_flight : InFlight or None
            Groups that are still to come; None where verl has drained them all.
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
        with self.timer.part("observe"):
            late = self._observe(groups, in_flight)
        metrics = group_metrics(trained, cleared) | {"feedback/incomplete": float(incomplete)}
        if self.curriculum is not None:
            metrics |= pass_rate_per_arm(groups)
            metrics |= {f"curriculum/{k}": v for k, v in self.curriculum.metrics().items()}
        if self.remembering is not None:
            metrics |= self._pay(trained, cleared, pay)
        if in_flight is not None:
            metrics["feedback/late"] = late
        metrics.update({f"ms/{part}": ms for part, ms in self.timer.take().items()})
        metrics["ms/encode_in_workers"] = 1000 * encoding_outlived_rewards(groups)
        return {f"sparft/{name}": value for name, value in metrics.items()}

    def _check_alike(self, groups: Sequence[FinishedGroup]) -> None:
        """Refuse accuracies read from different things, and embeddings of different encoders."""
        sources = {source for group in groups for source in group.sources}
        sources |= {self._source} if self._source else set()
        if len(sources) > 1:
            raise SparftError(
                f"accuracy was read from {' and '.join(sorted(sources))}, because the reward "
                "function returns other keys for some responses; return the same keys for every "
                "response, or say how accuracy follows with sparft.accuracy."
            )
        self._source = next(iter(sources), None)
        encoders = {encoder for group in groups for encoder in group.encoders}
        if self.remembering is not None and encoders:
            own = self.remembering.embedder.identity
            for other in sorted(encoders - {own}):
                raise SparftError(
                    f"a reward worker embeds responses with {other} and the driver prompts with "
                    f"{own}; install the same sparft.memory.encoder on every node."
                )

    def _pay(
        self, trained: Sequence[FinishedGroup], cleared: Sequence[FinishedGroup], pay: Pay
    ) -> dict[str, float]:
        """Pay what the memory gives for the trained groups, faded if a collapse asks for it."""
        assert self.remembering is not None
        assert self.collapse is not None
        groups = [*trained, *cleared]
        stats = step_stats(groups)
        for sentence in self.collapse.observe(stats) if stats else ():
            logger.warning("sparft: %s", sentence)
        metrics = {f"collapse/{k}": v for k, v in self.collapse.metrics().items()}
        metrics["memory/blank"] = sum(group.blank for group in groups)
        terms = self.remembering.score_and_write(trained, cleared)
        stored = self.remembering.memory.metrics()
        metrics |= {f"memory/{k}": float(v) for k, v in stored.items()}
        if not terms:
            return metrics
        terms = [replace(term, total=self.collapse.factor * term.total) for term in terms]
        with self.timer.part("write"):
            pay(trained, terms)
        return metrics | reward_metrics(terms)

    def _observe(self, groups: Sequence[FinishedGroup], in_flight: InFlight | None) -> int:
        """Tell the curriculum of the groups by their picks, and which picks will never come.

        Returns
        -------
        int
            Groups that came too late: their prompt left the pool between checkpoint and resume.
        """
        if self.curriculum is None:
            return 0
        outcomes = [group.outcome for group in groups]
        waiting = self.curriculum.outstanding
        if in_flight is None:
            self.curriculum.observe(outcomes)
            # Everything in flight was drained: a pick that has not come by now never will.
            self.curriculum.expire(list(waiting))
            return 0
        expected = [outcome for outcome in outcomes if outcome.pick.pick_id in waiting]
        self.curriculum.observe(expected)
        # Each pick is a group that verl holds, unless it gave the group up, for a failed rollout
        # or with a lost checkpoint. Equal counts spare the reading.
        if len(waiting) != in_flight.count:
            self.curriculum.expire(set(waiting) - in_flight.picks())
        return len(outcomes) - len(expected)

    def state_dict(self) -> dict[str, Any]:
        """State as data: tensors for the memory, JSON text for the rest.

        The tensors are the memory's own, so they must be saved before the next step, as verl does.
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
        """Restore a state saved by the same configuration.

        Raises
        ------
        SparftError
            If the state has other keys, another version, or lacks a part that is configured.
        """
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


def start(run: TrainingRun) -> TrainingRun:
    """Make a run the current one of this process; verl trains one run a process."""
    global _current
    speak()
    _current = run
    return run


def current() -> TrainingRun:
    """Return the run of this process.

    Raises
    ------
    SparftError
        If no training dataset of ours was made.
    """
    if _current is None:
        raise SparftError(
            "no training dataset of sparft_plugin exists in this process; data.custom_cls must be "
            "sparft_plugin's CurriculumDataset."
        )
    _current.heard = True
    return _current
