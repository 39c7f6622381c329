"""sparft_plugin over slime's two documented hooks; written against its signatures, not run.

``--data-source-path sparft_plugin.hosts.slime.PickSource`` and
``--rollout-all-samples-process-path sparft_plugin.hosts.slime.feedback``.
"""

from __future__ import annotations

import copy
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from slime.rollout.data_source import RolloutDataSourceWithBuffer

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.config.named import read_section
from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.corpus import Columns
from sparft_plugin.corpus.sources import RowsSource
from sparft_plugin.errors import require
from sparft_plugin.training.encoding import embed_responses
from sparft_plugin.training.groups import FinishedGroup, in_pick_order, tag_of
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun
from sparft_plugin.training.state import read_state, write_state

logger = logging.getLogger(__name__)

SECTION = "SPARFT"
"""Environment variable that names the section, since slime's arguments are its own."""
TAG = "sparft"
"""Key of a sample's metadata that holds id, arm, difficulty and pick of its prompt."""
FOLDER = "rollout"
"""Where in a checkpoint slime keeps the state of its data source."""
LOST = ("aborted", "failed", "pending")
"""Status of a sample that is no evidence of a pass rate."""


class PickSource(RolloutDataSourceWithBuffer):  # type: ignore[misc]
    """slime's data source, giving out the curriculum's picks in place of the next prompts.

    Groups that were put back, which partial rollouts are, come out of the buffer first and keep
    their pick. The section is named by the environment variable ``SPARFT``: one of the names in
    `sparft_plugin.config.named` or a YAML file; without a curriculum it is refused.
    """

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        require(
            self.dataset is not None,
            "slime made no dataset; give --prompt-data, and leave --rollout-global-dataset on.",
        )
        self.options = SparftConfig.from_mapping(read_section(os.environ.get(SECTION, "sparft")))
        require(
            self.options.curriculum is not None,
            f"the section that {SECTION} names has no curriculum; name one that has.",
        )
        require(
            self.options.group_filter is None,
            "sparft.group_filter is verl's; slime's own is --dynamic-sampling-filter-path.",
        )
        # The order of the data, whatever slime has shuffled.
        self.prompts = self.dataset.origin_samples
        self._made: tuple[Pool, TrainingRun] | None = None
        if args.load is None:
            self._start(None)

    @property
    def pool(self) -> Pool:
        """What the curriculum chooses from."""
        return self._start(None)[0]

    @property
    def run(self) -> TrainingRun:
        """The run; where a checkpoint is loaded, `load` makes it."""
        return self._start(None)[1]

    def _start(self, saved: str | None) -> tuple[Pool, TrainingRun]:
        if self._made is None:
            rows = [{"prompt": each.prompt, "answer": each.label or ""} for each in self.prompts]
            columns = Columns(mapping={"answer": "answer"}, data_source="slime")
            source = RowsSource(rows, "--prompt-data")
            pool = Pool.from_source(source, columns, self.options, saved)
            self._made = pool, TrainingRun.over(pool, self.options, {})
            self.run.plan(self.args.num_rollout)
        return self._made

    def get_samples(self, num_samples: int) -> list[list[Any]]:
        """Groups of samples: first those that were put back, then the next picks."""
        groups: list[list[Any]] = self._get_samples_from_buffer(num_samples)
        for pick in self.run.select(num_samples - len(groups)) if num_samples > len(groups) else ():
            original = self.prompts[self.pool.row_of(pick.prompt.id)]
            tag = tag_of(pick.prompt, pick.pick_id)
            group = []
            for _ in range(self.args.n_samples_per_prompt):
                sample = copy.deepcopy(original)
                sample.metadata = {**(sample.metadata or {}), TAG: tag}
                sample.group_index, sample.index = self.sample_group_index, self.sample_index
                self.sample_index += 1
                group.append(sample)
            self.sample_group_index += 1
            groups.append(group)
        return groups

    def waiting(self) -> set[int]:
        """Pick ids of the groups in the buffer, which are still to come."""
        return {group[0].metadata[TAG]["pick"] for group in self.buffer}

    def save(self, rollout_id: int) -> None:
        """Save what slime does, and ours beside it."""
        write_state(self._folder(self.args.save, rollout_id), self.run.state_dict())
        super().save(rollout_id)

    def load(self, rollout_id: int | None = None) -> None:
        """Restore what `save` wrote; a checkpoint without our state is a SparftError."""
        super().load(rollout_id)
        if self.args.load is None or rollout_id is None or rollout_id < 0:
            return
        state = read_state(self._folder(self.args.load, rollout_id))
        self._start(state["pool"])
        self.run.load_state_dict(state)

    def _folder(self, root: str, rollout_id: int | None) -> Path:
        return Path(root) / FOLDER / f"sparft_{rollout_id}"


def feedback(args: Any, all_samples: Sequence[Sequence[Any]], data_source: Any) -> None:
    """Learn from a rollout's groups, and add the memory's terms to their rewards.

    slime's hook that sees every finished group, filtered ones too, before rewards are used. Metrics
    go to the log and to ``args.sparft_metrics``. Groups are learned from whether slime's filter
    keeps them or not, since the hook is not told which it kept.

    Parameters
    ----------
    args : namespace
        slime's arguments.
    all_samples : sequence of sequence of Sample
        Every finished group.
    data_source : callable
        The bound ``get_samples`` of a `PickSource`.

    Raises
    ------
    SparftError
        If the data source is another, an accuracy is none, or the run refuses the groups.
    """
    source = getattr(data_source, "__self__", data_source)
    require(
        isinstance(source, PickSource),
        f"the data source is {type(source).__name__}; give --data-source-path "
        "sparft_plugin.hosts.slime.PickSource as well.",
    )
    rule = AccuracyRule(source.options.accuracy)
    of = {str(samples[0].group_index): samples for samples in all_samples}
    groups = [_group(args, source, rule, uid, samples) for uid, samples in of.items()]
    result = source.run.finish(in_pick_order(groups), in_flight=source.waiting())
    for uid, terms in result.terms.items():
        for sample, term in zip(of[uid], terms.tolist(), strict=True):
            if args.reward_key:
                sample.reward[args.reward_key] += term
            else:
                sample.reward += term
    args.sparft_metrics = result.metrics | source.run.times()
    logger.info("sparft: %s", args.sparft_metrics)


def _group(
    args: Any, source: PickSource, rule: AccuracyRule, uid: str, samples: Sequence[Any]
) -> FinishedGroup:
    complete = not any(s.reward is None or s.status.value in LOST for s in samples)
    rewards = accuracies = [math.nan] * len(samples)
    sources = frozenset[str]()
    if complete:
        values = [sample.get_reward_value(args) for sample in samples]
        extras = [s.reward if isinstance(s.reward, dict) else {} for s in samples]
        read = [rule.read(*told) for told in zip(extras, values, strict=True)]
        accuracies, sources = [value for value, _ in read], frozenset(name for _, name in read)
        rewards = [float(value) for value in values]
    tokens = np.array([sample.response_length for sample in samples])
    blank: list[bool] = []
    responses, encoder = None, frozenset[str]()
    if source.run.remembering is not None:
        embedder = source.run.remembering.embedder
        # One encoder, so one at a time.
        source.run.remembering.queries.wait([samples[0].metadata[TAG]["id"]])
        stored = str((source.options.memory or {}).get("stored", "response"))
        texts = [sample.response for sample in samples]
        embedded, blank = embed_responses(embedder, stored, texts)
        responses, encoder = embedded.astype(np.float32), frozenset({embedder.identity})
    return FinishedGroup(
        uid=uid,
        tag=samples[0].metadata[TAG],
        outputs=tuple((sample.index,) for sample in samples),
        rewards=np.array(rewards),
        accuracies=np.array(accuracies),
        responses=responses,
        model_version=0,
        tokens=tokens,
        at_limit=tokens >= args.rollout_max_response_len,
        blank=sum(blank),
        complete=complete,
        sources=sources,
        encoders=encoder,
    )
