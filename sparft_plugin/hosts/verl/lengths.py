"""Prompts that the model cannot take in whole are refused: the longest at once, others when met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sparft_plugin.corpus.rows import Place

AT_ONCE = 16_384
"""Prompts, the longest in bytes, whose tokens are counted before a run begins: some seconds."""


class PromptLengths:
    """Counts tokens as verl's dataset and agent loop do, each prompt once.

    Counting a million prompts takes minutes, and training meets few of them. So the longest by
    bytes are counted before anything is trained, and any other prompt when it is first picked:
    none is ever cut short in silence.

    Parameters
    ----------
    inner : Dataset
        The recipe's dataset; its ``tool_schemas`` are part of each prompt, as in verl.
    tokenizer, processor : object
        The model's, as verl gives them; a processor has a chat template of its own.
    config : DictConfig
        verl's ``data`` section.
    """

    def __init__(self, inner: Any, tokenizer: Any, processor: Any, config: DictConfig) -> None:
        given = OmegaConf.create(config.get("apply_chat_template_kwargs") or {})
        self.options: dict[str, Any] = {
            name: value
            for name, value in OmegaConf.to_container(given).items()
            if name not in ("tokenize", "return_dict", "return_tensors")
        }
        if getattr(inner, "tool_schemas", None) is not None:
            self.options["tools"] = inner.tool_schemas
        self.tokenizer, self.processor = tokenizer, processor
        self.limit: int = config.max_prompt_length
        self.key: str = config.prompt_key
        self.checked: set[int] = set()

    def count(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """Tokens of a prompt in the chat template, with the tools and up to the answer."""
        if self.processor is None:
            encoded = self.tokenizer.apply_chat_template(
                messages,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                **self.options,
            )
            return len(encoded["input_ids"])
        text = self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **self.options
        )
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def check_rows(self, frame: Any, rows: Sequence[int]) -> None:
        """Refuse prompts of a dataset's ``dataframe`` that are too long, by ``check``."""
        prompts = frame.select_columns([self.key])[rows][self.key]
        for row, messages in zip(rows, prompts, strict=True):
            self.check(row, messages)

    def check(self, row: int, messages: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a prompt that is too long.

        Raises
        ------
        SparftError
            Naming the row, its length and the mend.
        """
        if row in self.checked:
            return
        tokens = self.count(messages)
        if tokens > self.limit:
            raise Place("data.train_files", row).error(
                self.key,
                f"{tokens} tokens are more than data.max_prompt_length={self.limit}; set "
                "data.filter_overlong_prompts=True or raise the limit.",
            )
        self.checked.add(row)
