"""Which columns hold what verl needs, and how other columns become verl's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from sparft_plugin.corpus.sources import table_column
from sparft_plugin.errors import SparftError, unknown_name

TARGETS = {"prompt": "prompt", "answer": "reward_model", "data_source": "data_source"}
"""What ``--map`` may name, and the column of verl that it fills."""
PLACEHOLDER = "{prompt}"
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@dataclass(frozen=True)
class Columns:
    """Where a row's prompt, answer and data source stand."""

    prompt_key: str = "prompt"
    """Column of the prompt in verl's schema: chat messages, or a plain string."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Source column of ``prompt``, ``answer`` or ``data_source``, where it is not verl's own."""
    template: str | None = PLACEHOLDER
    """User message that a plain string becomes; ``{prompt}`` stands for the string. None refuses
    plain strings, as verl does."""
    data_source: str | None = None
    """Name of the data for every row; verl finds its reward function by it."""

    def __post_init__(self) -> None:
        for target in self.mapping:
            if target not in TARGETS:
                raise unknown_name("target of --map", target, TARGETS)
        if self.template is not None and PLACEHOLDER not in self.template:
            raise SparftError(f"the template {self.template!r} must hold {PLACEHOLDER}.")
        if self.data_source is not None and "data_source" in self.mapping:
            raise SparftError("give either --data-source or --map data_source=, not both.")

    def needed(self, labels: Sequence[str] = ()) -> list[str]:
        """Source columns of prompt, reward model, data source and labels, in that order."""
        names = [
            self.mapping.get("prompt", self.prompt_key),
            self.mapping.get("answer", "reward_model"),
        ]
        if self.data_source is None:
            names.append(self.mapping.get("data_source", "data_source"))
        return [*names, *labels]

    def read(self, values: Sequence[Any]) -> tuple[Any, Any, Any, Sequence[Any]]:
        """Turn the values of ``needed()`` into prompt, reward model, data source and labels."""
        prompt, answer, *rest = values
        if "answer" in self.mapping:
            answer = {"ground_truth": answer}
        source = self.data_source if self.data_source is not None else rest.pop(0)
        return self.messages(prompt), answer, source, rest

    def messages(self, prompt: Any) -> Any:
        """Chat messages of a prompt; a plain string goes into the template."""
        if not isinstance(prompt, str) or self.template is None:
            return prompt
        return [{"role": "user", "content": self.template.replace(PLACEHOLDER, prompt)}]

    def to_verl(self, table: Any, source: str) -> Any:
        """Add verl's columns to the whole rows of one source; the other columns stay as they are.

        A SparftError names a column that is there already and would be replaced.
        """
        self._check_free(table.column_names, source)
        for name, kind in zip(table.column_names, table.schema.types, strict=True):
            if pa.types.is_dictionary(kind):
                # The order of a dictionary is that of the rows of its file.
                table = _put(table, name, table[name].cast(kind.value_type))
        prompt = self.mapping.get("prompt", self.prompt_key)
        prompts = table_column(table, prompt)
        if pa.types.is_string(prompts.type) or pa.types.is_large_string(prompts.type):
            messages = [self.messages(text) for text in prompts.to_pylist()]
            table = _put(table, self.prompt_key, pa.array(messages, _MESSAGES))
        elif prompt != self.prompt_key:
            table = _put(table, self.prompt_key, prompts)
        if "answer" in self.mapping:
            answers = table_column(table, self.mapping["answer"]).combine_chunks()
            answers = answers.chunk(0) if isinstance(answers, pa.ChunkedArray) else answers
            style = pa.array(["rule"] * len(table), pa.string())
            model = pa.StructArray.from_arrays([style, answers], ["style", "ground_truth"])
            table = _put(table, "reward_model", model)
        if self.data_source is not None:
            table = _put(table, "data_source", pa.array([self.data_source] * len(table)))
        elif "data_source" in self.mapping:
            table = _put(table, "data_source", table_column(table, self.mapping["data_source"]))
        return table

    def _check_free(self, names: Sequence[str], source: str) -> None:
        for target, name in self.mapping.items():
            column = self.prompt_key if target == "prompt" else TARGETS[target]
            if column in names and column != name:
                raise SparftError(
                    f"{source} has a column '{column}' already, which --map {target}={name} would "
                    "replace; rename one of the two."
                )
        if self.data_source is not None and "data_source" in names:
            raise SparftError(
                f"{source} has a column 'data_source' already, which --data-source "
                f"{self.data_source} would replace; leave the option out or rename the column."
            )


def _put(table: Any, name: str, column: Any) -> Any:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)
