"""Rows of a trainer's dataset as prompts with an id, and responses as texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.corpus import Columns
from sparft_plugin.corpus.rows import Place, read_messages, read_user_text
from sparft_plugin.corpus.sources import DatasetSource
from sparft_plugin.prompts import prompt_id
from sparft_plugin.training.pool import Pool

DATASET = "train_dataset"
"""What messages call the data, and its data source where rows name none."""


def read_pool(dataset: Any, options: SparftConfig, saved: str | None) -> Pool:
    """Read a dataset as the pool of its run; see `Pool.from_source`.

    It has a column ``prompt``, of messages or plain text. The columns ``reward_model`` or
    ``answer``, and ``data_source``, are read where they are; else the prompt stands for itself.
    """
    names = dataset.column_names
    answer = {"answer": "answer" if "answer" in names else "prompt"}
    columns = Columns(
        mapping={} if "reward_model" in names else answer,
        data_source=None if "data_source" in names else DATASET,
    )
    return Pool.from_source(DatasetSource(dataset, DATASET), columns, options, saved)


def identify(row: Mapping[str, Any]) -> tuple[str, str]:
    """Id and text of a row's prompt, the same as in its pool."""
    place = Place(DATASET, 0)
    messages = read_messages(Columns().messages(row["prompt"]), place, "prompt")
    text = read_user_text(messages, place, "prompt")
    return prompt_id(row.get("data_source", DATASET), messages), text


def response_text(completion: Any) -> str:
    """Text of a response: of a conversation, what the assistant says, a line for each message."""
    if isinstance(completion, str):
        return completion
    said = [m.get("content") for m in completion if m.get("role") == "assistant"]
    parts = [[part] if isinstance(part, (str, Mapping)) else part or [] for part in said]
    return "\n".join(
        "".join(p if isinstance(p, str) else str(p.get("text") or "") for p in some)
        for some in parts
    )
