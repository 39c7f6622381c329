"""slime's data source with a curriculum in front of it."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

from slime.rollout.data_source import RolloutDataSourceWithBuffer

from sparft_plugin.config.named import read_section
from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.corpus import Columns
from sparft_plugin.corpus.sources import RowsSource
from sparft_plugin.errors import SparftError
from sparft_plugin.training.groups import tag_of
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun
from sparft_plugin.training.state import read_state, write_state

SECTION = "SPARFT"
"""Environment variable that names the section, since slime's arguments are its own."""
TAG = "sparft"
"""Key of a sample's metadata that holds id, arm, difficulty and pick of its prompt."""
FOLDER = "rollout"
"""Where in a checkpoint slime keeps the state of its data source."""


class PickSource(RolloutDataSourceWithBuffer):  # type: ignore[misc]
    """Give out the curriculum's picks in place of the next prompts.

    Groups that were put back, which partial rollouts are, come out of the buffer first and keep
    their pick. The section is named by the environment variable ``SPARFT``: one of the names in
    `sparft_plugin.config.named` or a YAML file.

    Raises
    ------
    SparftError
        If there is no such section, or one without a curriculum.
    """

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        if self.dataset is None:
            raise SparftError(
                "slime made no dataset; give --prompt-data, and leave --rollout-global-dataset on."
            )
        self.options = SparftConfig.from_mapping(read_section(os.environ.get(SECTION, "sparft")))
        if self.options.curriculum is None:
            raise SparftError(
                f"the section that {SECTION} names has no curriculum; name one that has."
            )
        if self.options.group_filter is not None:
            raise SparftError(
                "sparft.group_filter is verl's; slime's own is --dynamic-sampling-filter-path."
            )
        # The order of the data, whatever slime has shuffled.
        self.prompts = self.dataset.origin_samples
        self.run = self._make(None)

    def _make(self, saved: str | None) -> TrainingRun:
        rows = [{"prompt": sample.prompt, "answer": sample.label or ""} for sample in self.prompts]
        columns = Columns(mapping={"answer": "answer"}, data_source="slime")
        source = RowsSource(rows, "--prompt-data")
        self.pool = Pool.from_source(source, columns, self.options, saved)
        pool = self.pool
        run = TrainingRun(self.options, pool.prompts, pool.text_of, pool.saved)
        run.plan(self.args.num_rollout)
        return run

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
        """Restore what `save` wrote.

        Raises
        ------
        SparftError
            If the checkpoint holds no state of ours, or one that the run cannot take.
        """
        super().load(rollout_id)
        if self.args.load is None or rollout_id is None or rollout_id < 0:
            return
        state = read_state(self._folder(self.args.load, rollout_id))
        if state["pool"] is not None:
            self.run = self._make(state["pool"])
        self.run.load_state_dict(state)

    def _folder(self, root: str, rollout_id: int | None) -> Path:
        return Path(root) / FOLDER / f"sparft_{rollout_id}"
