"""The prompts a curriculum may choose from, made from a recipe's dataset."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Prompt
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable, columns_needed
from sparft_plugin.reduction import reduce_cached

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """Prompts with the dataset row and the text of each.

    Parameters
    ----------
    prompts : tuple of Prompt
        What the curriculum chooses from.
    row_of : mapping
        Row in the recipe's dataset by prompt id.
    texts : mapping
        The prompt's text by prompt id.
    messages : mapping
        Chat messages by prompt id.
    """

    prompts: tuple[Prompt, ...]
    row_of: Mapping[str, int]
    texts: Mapping[str, str]
    messages: Mapping[str, Any]

    @classmethod
    def from_dataset(cls, inner: Any, config: DictConfig, options: SparftConfig) -> Pool:
        """Read a dataset's rows, and reduce them unless that was done before.

        Files written by ``sparft reduce`` carry their arms, and are taken as they are.

        Raises
        ------
        SparftError
            If the dataset has no ``dataframe`` of rows as verl's ``RLHFDataset`` has, or a row is
            invalid.
        """
        frame = getattr(inner, "dataframe", None)
        if frame is None:
            raise SparftError(
                f"the dataset class {type(inner).__name__} has no 'dataframe' of rows as verl's "
                "RLHFDataset has; give it one, or use a sparft name without a curriculum."
            )
        key = options.reduction.difficulty_key if options.reduction else None
        names = columns_needed(config.prompt_key, key)
        wanted = {name.split(".")[0] for name in [*names, "extra_info"]}
        rows = frame.select_columns([name for name in frame.column_names if name in wanted])
        table = PromptTable.from_rows(
            rows, source="data.train_files", prompt_key=config.prompt_key, difficulty_key=key
        )
        tags = [(rows[int(row)].get("extra_info") or {}).get("sparft") for row in table.rows]
        known = [tag for tag in tags if tag is not None]
        if len(known) == len(tags):
            logger.info("sparft: the training files are reduced already; their arms are used.")
            prompts = [
                Prompt(identity, int(tag["arm"]), tag.get("difficulty"))
                for identity, tag in zip(table.ids, known, strict=True)
            ]
        elif options.reduction is not None:
            reduction = reduce_cached(table, options.reduction)
            prompts = [
                Prompt(identity, int(arm), None if math.isnan(d) else float(d))
                for identity, arm, d in zip(
                    reduction.ids, reduction.arms, reduction.difficulties, strict=True
                )
            ]
        else:
            prompts = [Prompt(identity) for identity in table.ids]
        kept = {prompt.id for prompt in prompts}
        row_of = {
            identity: int(row)
            for identity, row in zip(table.ids, table.rows, strict=True)
            if identity in kept
        }
        texts = dict(zip(table.ids, table.texts, strict=True))
        return cls(
            tuple(prompts),
            row_of,
            {identity: texts[identity] for identity in row_of},
            {identity: rows[row][config.prompt_key] for identity, row in row_of.items()},
        )

    def check_lengths(self, tokenizer: Any, config: DictConfig) -> None:
        """Refuse a prompt that the model cannot take in whole.

        Raises
        ------
        SparftError
            Naming the row, its length and the mend.
        """
        for identity, messages in self.messages.items():
            tokens = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True
            )["input_ids"]
            if len(tokens) > config.max_prompt_length:
                raise SparftError(
                    f"row {self.row_of[identity]} of data.train_files has {len(tokens)} tokens, "
                    f"more than data.max_prompt_length={config.max_prompt_length}; set "
                    "data.filter_overlong_prompts=True or raise the limit."
                )
