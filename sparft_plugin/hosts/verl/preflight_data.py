"""Refuse broken rows before Ray starts; files that passed once are not read again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

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
from sparft_plugin.hosts.verl.media import KEYS as MEDIA
from sparft_plugin.hosts.verl.media import check_media
from sparft_plugin.prompts import PromptTable, digest
from sparft_plugin.reduction.files import cache_folder
from sparft_plugin.reduction.pipeline import check_possible


def check_rows(files: Sequence[str], data: DictConfig, options: SparftConfig) -> None:
    """Refuse parquet files with a row that the run could not use.

    Without a curriculum that is a row whose prompt or data source cannot be read; nothing else is
    looked at. What passed is noted in the cache folder by path, size and time of change, so that a
    resumed run starts at once. The training dataset checks what it reads all the same.

    Parameters
    ----------
    files : sequence of str
        The training files.
    data : DictConfig
        verl's ``data`` section.
    options : SparftConfig
        The checked ``sparft`` section.

    Raises
    ------
    SparftError
        Naming the file, row and key.
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
        row = 0
        for prompts, data_sources in source.batches([prompt_key, "data_source"]):
            for prompt, data_source in zip(prompts, data_sources, strict=True):
                place = Place(source.name, row)
                read_user_text(read_messages(prompt, place, prompt_key), place, prompt_key)
                read_data_source(data_source, place)
                row += 1


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
