"""One training run on the driver: what the dataset and the replay buffer share."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Curriculum, Outcome, Pick, Prompt, PromptPool
from sparft_plugin.curriculum.state import check_keys
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.encoder import memory_encoder
from sparft_plugin.hosts.verl.groups import (
    FinishedGroup,
    add_to_rewards,
    read_groups,
    read_picks,
    read_text,
)
from sparft_plugin.hosts.verl.timing import PartTimer
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup, Terms
from sparft_plugin.reduction.embedders import Embedder

logger = logging.getLogger(__name__)

STATE_VERSION = 1
_current: TrainingRun | None = None


class TrainingRun:
    """Curriculum and memory of a run, fed by finished groups.

    The training dataset makes it and asks for picks; the replay buffer, in the same process,
    brings the finished groups. Nothing here imports verl.

    Parameters
    ----------
    options : SparftConfig
        The checked ``sparft`` section.
    pool : PromptPool or None
        What the curriculum chooses from; None without a curriculum.
    text_of : callable
        Returns the text of a prompt id, for the memory's queries.
    """

    def __init__(
        self, options: SparftConfig, pool: PromptPool | None, text_of: Callable[[str], str]
    ) -> None:
        self.curriculum: Curriculum | None = options.build_curriculum()
        if self.curriculum is not None:
            assert pool is not None
            self.curriculum.start(pool, options.seed)
        self.memory: IntrinsicReward | None = options.build_memory()
        self.embedder: Embedder | None = None
        if self.memory is not None:
            self.embedder = memory_encoder(self.memory.encoder)
            # The saved memory names the weights, not only the model: other weights are refused.
            self.memory.encoder = self.embedder.identity
        self.text_of = text_of
        self.queries: dict[str, NDArray[np.float32]] = {}
        self._texts_of_resumed: dict[str, str] = {}
        self.timer = PartTimer()

    def select(self, n: int) -> list[Pick]:
        """Ask the curriculum for n picks."""
        assert self.curriculum is not None
        with self.timer.part("select"):
            return self.curriculum.select(n)

    def read(self, partition: str, tags: Mapping[str, Mapping[str, Any]]) -> list[FinishedGroup]:
        """Read finished groups, with what the memory needs of them if there is one."""
        groups = read_groups(partition, tags, self.memory is not None)
        for group in groups if self.memory is not None else []:
            prompt_id = str(group.tag["id"])
            if prompt_id not in self.queries and not self._knows(prompt_id):
                self._texts_of_resumed[prompt_id] = read_text(partition, group)
        return groups

    def _knows(self, prompt_id: str) -> bool:
        """Whether the data of this run tells a prompt's text.

        It does not where a group was in flight at the checkpoint that the run resumed from, and
        the prompt has left the pool, or without a curriculum has not been drawn again.
        """
        try:
            self.text_of(prompt_id)
        except KeyError:
            return False
        return True

    def _text(self, prompt_id: str) -> str:
        resumed = self._texts_of_resumed.get(prompt_id)
        return self.text_of(prompt_id) if resumed is None else resumed

    def finish(
        self,
        partition: str,
        tags: Mapping[str, Mapping[str, Any]],
        cleared: Sequence[FinishedGroup],
        in_flight: Collection[str] | None = None,
    ) -> dict[str, float]:
        """Take in the finished groups of a step and return its metrics.

        Parameters
        ----------
        partition : str
            TransferQueue partition of the batch.
        tags : mapping
            verl's tag of every trajectory key that goes on to the trainer.
        cleared : sequence of FinishedGroup
            Groups that verl took out, for a filter or as stale; they are learned from, but not
            trained on.
        in_flight : collection of str, or None
            Uids of the groups that are still to come; None where verl has drained them all.
        """
        with self.timer.part("read"):
            trained = self.read(partition, tags)
        groups = [*trained, *cleared]
        with self.timer.part("observe"):
            late = self._observe(partition, groups, in_flight)
        terms = self._remember(partition, trained, groups)
        metrics = self._metrics(trained, groups, terms)
        if in_flight is not None:
            metrics["feedback/late"] = late
        metrics.update({f"ms/{part}": ms for part, ms in self.timer.take().items()})
        metrics["ms/encode_in_workers"] = sum(group.encode_ms for group in groups)
        return {f"sparft/{name}": value for name, value in metrics.items()}

    def _observe(
        self, partition: str, groups: Sequence[FinishedGroup], in_flight: Collection[str] | None
    ) -> int:
        """Tell the curriculum of the groups by their picks, and which picks will never come.

        Returns
        -------
        int
            Groups that came too late: their prompt left the pool between checkpoint and resume.
        """
        if self.curriculum is None:
            return 0
        outcomes = [outcome_of(group) for group in groups]
        waiting = self.curriculum.outstanding
        if in_flight is None:
            self.curriculum.observe(outcomes)
            # Sync sampling drains what is in flight: a pick that has not come by now never will.
            self.curriculum.expire(list(waiting))
            return 0
        expected = [outcome for outcome in outcomes if outcome.pick.pick_id in waiting]
        self.curriculum.observe(expected)
        # Each pick is a group that verl holds, unless it gave the group up, for a failed rollout
        # or with a lost checkpoint. Equal counts spare the reading.
        if len(waiting) != len(in_flight):
            self.curriculum.expire(set(waiting) - read_picks(partition, in_flight))
        return len(outcomes) - len(expected)

    def _remember(
        self, partition: str, trained: Sequence[FinishedGroup], groups: Sequence[FinishedGroup]
    ) -> list[Terms]:
        if self.memory is None or not trained:
            return []
        with self.timer.part("encode_queries"):
            self.encode_queries([str(group.tag["id"]) for group in groups])
        with self.timer.part("memory"):
            remembered = [self._memory_group(group) for group in groups]
            terms = self.memory.score(remembered[: len(trained)])
            self.memory.write(remembered)
        with self.timer.part("write"):
            add_to_rewards(partition, trained, [term.total for term in terms])
        return terms

    def encode_queries(self, prompt_ids: Iterable[str]) -> None:
        """Encode the prompts that the memory has not met yet, each once."""
        new = [i for i in dict.fromkeys(prompt_ids) if i not in self.queries]
        if new and self.embedder is not None:
            vectors = self.embedder.encode([self._text(prompt_id) for prompt_id in new])
            self.queries.update(zip(new, vectors, strict=True))

    def _memory_group(self, group: FinishedGroup) -> MemoryGroup:
        assert group.responses is not None
        prompt_id = str(group.tag["id"])
        return MemoryGroup(prompt_id, self.queries[prompt_id], group.responses, group.accuracies)

    def _metrics(
        self,
        trained: Sequence[FinishedGroup],
        groups: Sequence[FinishedGroup],
        terms: Sequence[Terms],
    ) -> dict[str, float]:
        metrics = {
            "pass_rate": _mean([group.accuracies for group in groups]),
            "wasted_group_share": float(np.mean([np.ptp(g.rewards) == 0 for g in groups])),
            "reward/outcome": _mean([group.rewards for group in trained]),
        }
        if self.curriculum is not None:
            metrics |= _pass_rate_per_arm(groups)
            metrics |= {f"curriculum/{k}": v for k, v in self.curriculum.metrics().items()}
        if self.memory is not None and terms:
            metrics["reward/exploit"] = _mean([term.exploit for term in terms])
            metrics["reward/explore"] = _mean([term.explore for term in terms])
            metrics["reward/intrinsic"] = _mean([term.total for term in terms])
            metrics |= {f"memory/{k}": float(v) for k, v in self.memory.metrics().items()}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """State as data: JSON text for the curriculum, npz bytes for the memory."""
        return {
            "version": STATE_VERSION,
            "curriculum": json.dumps(self.curriculum.state_dict()) if self.curriculum else None,
            "memory": self.memory.dumps() if self.memory else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state saved by the same configuration.

        Raises
        ------
        SparftError
            If the state has other keys, another version, or lacks a part that is configured.
        """
        check_keys("sparft state of the checkpoint", state, self.state_dict())
        if state["version"] != STATE_VERSION:
            raise SparftError(
                f"the sparft state has version {state['version']}, this package reads "
                f"{STATE_VERSION}; resume with the version that wrote it."
            )
        for part, configured in (("curriculum", self.curriculum), ("memory", self.memory)):
            if (state[part] is None) != (configured is None):
                raise SparftError(
                    f"the checkpoint was written {'with' if configured is None else 'without'} "
                    f"sparft.{part}, the config differs; resume with the sparft name of that run."
                )
        if self.curriculum is not None:
            changed = self.curriculum.load_state_dict(json.loads(state["curriculum"]))
            if changed is not None:
                logger.warning("sparft: %s", changed)
        if self.memory is not None:
            self.memory.loads(state["memory"])


def start(run: TrainingRun) -> TrainingRun:
    """Make a run the current one of this process; verl trains one run a process."""
    global _current
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
    return _current


def outcome_of(group: FinishedGroup) -> Outcome:
    """What curriculum and group filter are told of a finished group.

    Without a curriculum there are no picks, and the pick id is -1.
    """
    tag = group.tag
    prompt = Prompt(str(tag["id"]), int(tag["arm"]), tag["difficulty"])
    return Outcome(
        Pick(-1 if tag["pick"] is None else int(tag["pick"]), prompt),
        group.accuracies,
        group_advantages(group.rewards),
        group.model_version,
    )


def group_advantages(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """GRPO advantages of one group: rewards minus their mean, over their sample deviation.

    Shape (rollouts,). DeepSeekMath, https://arxiv.org/abs/2402.03300, section 4.1; epsilon 1e-6
    and a single rollout's advantage (its reward) as in verl.
    """
    if rewards.size == 1:
        return rewards.astype(np.float64)
    advantages: NDArray[np.float64] = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-6)
    return advantages


def _pass_rate_per_arm(groups: Sequence[FinishedGroup]) -> dict[str, float]:
    arms = sorted({int(group.tag["arm"]) for group in groups})
    return {
        f"curriculum/arm_{arm}/pass_rate": _mean(
            [group.accuracies for group in groups if int(group.tag["arm"]) == arm]
        )
        for arm in arms
    }


def _mean(arrays: Sequence[NDArray[np.float64]]) -> float:
    return float(np.concatenate(arrays).mean()) if arrays else 0.0
