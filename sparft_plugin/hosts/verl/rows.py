"""Rows that a run could not use are refused: most before Ray starts, long prompts when met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import sparft_plugin
from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.corpus import open_sources
from sparft_plugin.corpus.rows import (
    Place,
    canonical_json,
    read_data_source,
    read_messages,
    read_user_text,
)
from sparft_plugin.corpus.sources import Source
from sparft_plugin.prompts import PromptTable, digest
from sparft_plugin.reduction.files import cache_folder
from sparft_plugin.reduction.pipeline import check_possible

MEDIA = {"image_key": "images", "video_key": "videos", "audio_key": "audios"}
"""Options of verl's ``data`` section that name the columns of media, with their defaults."""
AT_ONCE = 16_384
"""Prompts, the longest in bytes, whose tokens are counted before a run begins: some seconds."""


def check_rows(files: Sequence[str], data: DictConfig, options: SparftConfig) -> None:
    """Refuse parquet files with a row that the run could not use, by file, row and key.

    Without a curriculum that is a row whose prompt or data source cannot be read; nothing else is
    looked at. What passed is noted in the cache folder by path, size and time of change, so that a
    resumed run starts at once. The training dataset checks what it reads all the same.
    """
    note = _note(files, data, options)
    if note is not None and note.exists():
        return
    for source in open_sources(files):
        check_media(source, data)
    if options.curriculum is None:
        _check_prompts(files, data.prompt_key)
    else:
        reduction = options.reduction
        key = reduction.difficulty_key if reduction else None
        prompts = PromptTable.from_parquet(files, prompt_key=data.prompt_key, difficulty_key=key)
        if reduction is not None:
            check_possible(prompts, reduction)
    if note is not None:
        # Without a note the next start reads again, and that is all.
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def _check_prompts(files: Sequence[str], prompt_key: str) -> None:
    """Read what the memory reads of each row."""
    for source in open_sources(files):
        source.check_has([prompt_key, "data_source"])
        batches = source.batches([prompt_key, "data_source"])
        rows = (row for batch in batches for row in zip(*batch, strict=True))
        for number, (prompt, data_source) in enumerate(rows):
            place = Place(source.name, number)
            read_user_text(read_messages(prompt, place, prompt_key), place, prompt_key)
            read_data_source(data_source, place)


def _note(files: Sequence[str], data: DictConfig, options: SparftConfig) -> Path | None:
    """Where it is noted that these files passed with these options; None if one is missing."""
    paths = [Path(file).absolute() for file in files]
    if not all(path.exists() for path in paths):
        return None
    stats = [(str(path), path.stat()) for path in paths]
    reduction = options.reduction
    facts = [
        sparft_plugin.__version__,
        [[path, stat.st_size, stat.st_mtime_ns] for path, stat in stats],
        [data.get(key) for key in ("prompt_key", *MEDIA)],
        [options.curriculum is None, None if reduction is None else asdict(reduction)],
    ]
    return cache_folder("checked") / digest(canonical_json(facts))


def check_media(source: Source, data: DictConfig) -> None:
    """Refuse training data that fill a column of images, video or audio, by row and column.

    Two rows that differ in an image alone would be one prompt to the curriculum, and the memory's
    encoder reads text only.
    """
    known = source.columns()
    for option, default in MEDIA.items():
        key = data.get(option, default)
        if key not in known:
            continue
        for row, value in enumerate(v for (values,) in source.batches([key]) for v in values):
            if value:
                raise Place(source.name, row).error(
                    key,
                    "holds media, and sparft knows a prompt by its text alone; drop the column, or "
                    "train without a sparft name.",
                )


class PromptLengths:
    """Refuses prompts that the model cannot take in whole; each is counted once.

    Tokens are counted as verl's dataset and agent loop do. Counting a million prompts takes
    minutes, and training meets few of them. So the longest by bytes are counted before anything is
    trained, and any other prompt when it is first picked: none is ever cut short in silence. The
    ``tool_schemas`` of the recipe's dataset are part of each prompt, as in verl, and a processor
    has a chat template of its own.
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
        options = {"add_generation_prompt": True, **self.options}
        if self.processor is None:
            encoded = self.tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=True, **options
            )
        else:
            text = self.processor.apply_chat_template(messages, tokenize=False, **options)
            encoded = self.tokenizer(text, add_special_tokens=False)
        return len(encoded["input_ids"])

    def check_rows(self, frame: Any, rows: Sequence[int]) -> None:
        """Refuse prompts of a dataset's ``dataframe`` that are too long, by ``check``."""
        prompts = frame.select_columns([self.key])[rows][self.key]
        for row, messages in zip(rows, prompts, strict=True):
            self.check(row, messages)

    def check(self, row: int, messages: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a prompt that is too long, by row, length and mend."""
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
