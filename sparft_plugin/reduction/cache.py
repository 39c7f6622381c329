"""Reductions kept on disk, found again by what they were made from."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import sparft_plugin
from sparft_plugin.corpus.rows import canonical_json
from sparft_plugin.prompts import PromptTable, digest
from sparft_plugin.reduction.atomic import whole_file
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.folders import cache_folder
from sparft_plugin.reduction.pipeline import reduce
from sparft_plugin.reduction.result import Reduction

logger = logging.getLogger(__name__)

FORMAT = 2


def reduce_cached(
    prompts: PromptTable, config: ReductionConfig, folder: Path | str | None = None
) -> Reduction:
    """Reduce, or read the result if these prompts were reduced with these options before.

    An entry that cannot be used, and a folder that cannot be written, are a warning and a fresh
    computation. Entries are plain JSON.

    Parameters
    ----------
    prompts, config
        As for ``reduce``.
    folder : path, optional
        Where entries lie; None is ``reductions`` in the cache folder.

    Raises
    ------
    SparftError
        As ``reduce`` does.
    """
    place = cache_folder("reductions") if folder is None else Path(folder)
    key = cache_key(prompts, config)
    path = place / f"{key}.json"
    cached = _load(path, key, prompts)
    if cached is not None:
        logger.info("reduction read from %s", path)
        return cached
    reduction = reduce(prompts, config)
    try:
        _store(path, key, reduction)
    except OSError as error:
        logger.warning("the reduction was not cached: %s", error)
    return reduction


def cache_key(prompts: PromptTable, config: ReductionConfig) -> str:
    """32 hex digits over data fingerprint, options, encoder identity and package version."""
    embedder = config.build_embedder()
    parts = [prompts.fingerprint, asdict(config), embedder.identity, sparft_plugin.__version__]
    return digest(canonical_json([FORMAT, *parts]))


def _store(path: Path, key: str, reduction: Reduction) -> None:
    known = [None if math.isnan(d) else d for d in reduction.difficulties.tolist()]
    body = {
        "format": FORMAT,
        "key": key,
        "ids": list(reduction.ids),
        "arms": reduction.arms.tolist(),
        "difficulties": known,
        "manifest": reduction.manifest,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        entry = {"digest": digest(canonical_json(body)), "body": body}
        temporary.write_text(json.dumps(entry, indent=1, ensure_ascii=False), encoding="utf-8")


def _load(path: Path, key: str, prompts: PromptTable) -> Reduction | None:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        body = entry["body"]
        intact = entry["digest"] == digest(canonical_json(body)) and body["key"] == key
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("cache entry %s is unreadable (%s); it is made anew.", path, error)
        return None
    if not intact:
        logger.warning("cache entry %s does not match its digest or key; it is made anew.", path)
        return None
    return _restore(body, prompts)


def _restore(body: dict[str, Any], prompts: PromptTable) -> Reduction:
    row = dict(zip(prompts.ids, prompts.rows.tolist(), strict=True))
    known = [math.nan if d is None else d for d in body["difficulties"]]
    here = {"source": prompts.source, "duplicates": prompts.duplicates}
    return Reduction(
        ids=tuple(body["ids"]),
        rows=np.array([row[name] for name in body["ids"]], dtype=np.int64),
        arms=np.array(body["arms"], dtype=np.int64),
        difficulties=np.array(known, dtype=np.float64),
        manifest=body["manifest"] | here,
    )
