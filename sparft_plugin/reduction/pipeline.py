"""From prompts to a small, varied set with arms: ``reduction = reduce(prompts, config)``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import sparft_plugin
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import NO_DIFFICULTY, PromptTable, digest
from sparft_plugin.reduction.budget import most_prompts, parse_budget
from sparft_plugin.reduction.clusters import CANDIDATES, members_of
from sparft_plugin.reduction.config import ALL, AUTO, POOL_LEAST, POOL_SHARE, ReductionConfig
from sparft_plugin.reduction.coverage import Pool, coverage, describe_arms, difficulty_histogram
from sparft_plugin.reduction.encode import count_tokens, encode_texts
from sparft_plugin.reduction.hygiene import Evaluation, Hygiene, clean
from sparft_plugin.reduction.keep import Candidates, Timing, keep
from sparft_plugin.reduction.result import Manifest, Reduction
from sparft_plugin.reduction.selectors.base import Selector, check_needs
from sparft_plugin.reduction.vectors import (
    Vectors,
    blocks,
    open_vectors,
    row_of,
    take_vectors,
    to_unit,
)
from sparft_plugin.reduction.words import cluster_words

if TYPE_CHECKING:
    from sparft_plugin.difficulty.sources import Difficulties

logger = logging.getLogger(__name__)

NAMED_TEXTS = 2000
"""Texts of a cluster that its words are taken from."""
Given = NDArray[np.floating] | Path | str
"""Embeddings that a user brings: an array, or a ``.npy`` file of one."""


def reduce(
    prompts: PromptTable,
    config: ReductionConfig,
    *,
    embeddings: Given | None = None,
    difficulties: Difficulties | None = None,
    curves: NDArray[np.float64] | None = None,
    evaluations: Sequence[Evaluation] = (),
    engine: str = "local",
    progress: bool = True,
) -> Reduction:
    """Keep a few prompts that stand for all: sample, embed, clean, cluster, select, explain.

    Stage one of SPaRFT (arXiv 2508.05015). The order of the rows changes nothing, and the same
    prompts, options and vectors give the same result.

    A SparftError says if the data cannot give what the options ask for, or a plugin breaks its
    contract.

    Parameters
    ----------
    prompts : PromptTable
        The training prompts, n of them.
    config : ReductionConfig
        Options. Where embeddings are given, ``pool=auto`` looks at all prompts.
    embeddings : ndarray of float, shape (n, d), or path of a ``.npy`` file of such, optional
        Vectors in the order of ``prompts.ids``, or one for each row of the data; None encodes the
        texts.
    difficulties : Difficulties, optional
        One per prompt; None reads ``config.difficulty_key`` from the labels of the table.
    curves : ndarray of float64, shape (n, visits), optional
        Solve rate at each visit of a logged run, for the selector ``limr``; NaN if not visited.
    evaluations : sequence of Evaluation
        Sets whose prompts must not be kept. With ``embeddings``, those without vectors of their own
        are compared by words only.
    engine : {"local", "ray"}
        Where texts are encoded.
    progress : bool, default True
        Show a bar on stderr while texts are encoded.
    """
    timing = Timing()
    difficulties = difficulties or _labelled(prompts, config)
    given = {"difficulties": difficulties, "curves": curves}
    selector = check_possible(
        prompts, config, {name for name, value in given.items() if value is not None}
    )
    warn_of_few(len(prompts), prompts.source, config)
    order, tokens = pool_of(prompts, config, given=embeddings is not None)
    looked_at = len(order)
    with timing("embed"):
        if embeddings is None:
            encode = partial(
                encode_texts,
                embedder=config.embedder,
                options=config.encoding,
                engine=engine,
                progress=progress,
            )
            vectors, encoder = encode(PickedTexts(prompts.texts, order))
            evaluations = [
                each if each.vectors is not None else replace(each, vectors=encode(each.texts)[0])
                for each in evaluations
            ]
        else:
            vectors, encoder = _taken(embeddings, prompts, order), "given"
    hygiene, near = None, config.near_duplicates
    with timing("hygiene"):
        if evaluations or near is not None:
            hygiene = clean(
                prompts, vectors, evaluations, among=order, near_duplicate_threshold=near
            )
    if hygiene is not None:
        left = np.flatnonzero(hygiene.kept[order])
        check_size(len(left), f"{prompts.source}, after hygiene,", config)
        order, vectors = order[left], take_vectors(vectors, left, looked_at)
    candidates = Candidates(
        ids=[prompts.ids[i] for i in order],
        rows=prompts.rows[order],
        vectors=vectors,
        difficulties=None if difficulties is None else difficulties.values[order],
        curves=None if curves is None else curves[order],
        tokens=None if tokens is None else tokens[order],
        whole=round(len(order) * len(prompts) / looked_at),
    )
    pool, choice = keep(candidates, selector, config, timing)
    with timing("explain"):
        words = _words(prompts.texts, order, pool.arms)
    return _result(
        pool,
        config,
        words,
        choice,
        timing,
        hygiene,
        source=prompts.source,
        fingerprint=prompts.fingerprint,
        prompts=len(prompts),
        sample=None if looked_at == len(prompts) else looked_at,
        duplicates=prompts.duplicates,
        encoder=encoder,
        difficulty=None if difficulties is None else difficulties.manifest,
    )


def from_embeddings(
    embeddings: Given,
    config: ReductionConfig,
    *,
    ids: Sequence[str] | None = None,
    difficulties: NDArray[np.float64] | None = None,
) -> Reduction:
    """Keep a few of many vectors, without texts: cluster, select, explain.

    A large file is read block by block and is never in memory as a whole; a sorted copy lies in
    ``TMPDIR`` meanwhile.

    Parameters
    ----------
    embeddings : ndarray of float, shape (n, d), or path of a ``.npy`` file of such
        Vectors of any norm above 0; they are scaled to norm 1.
    config : ReductionConfig
        Options; those about texts, and ``pool``, are not used. A budget of tokens is refused.
    ids : sequence of str, optional
        n distinct names, which decide every tie; None names a row by the hash of its numbers, and
        equal rows count once.
    difficulties : ndarray of float64, shape (n,), optional
        In [0, 1], 0 = always solved; equal rows get the mean of theirs.
    """
    if config.budget is not None and parse_budget(config.budget).unit == "tokens":
        raise SparftError(
            f"a budget of '{config.budget}' counts the tokens of texts, and embeddings have none; "
            "give a number of vectors or a share."
        )
    timing = Timing()
    with timing("names"):
        array, name = open_vectors(embeddings)
        total = len(array)
        names = _hashes(array, name) if ids is None else _checked(ids, total)
        _, first, same = np.unique(names, return_index=True, return_inverse=True)
        vectors = take_vectors(embeddings, first, total)
    difficulty = None if difficulties is None else _means(_difficulty(difficulties, total), same)
    check_size(len(first), "the embeddings", config)
    warn_of_few(len(first), "the embeddings", config)
    selector = config.build_selector()
    check_needs(config.selector, selector, set() if difficulty is None else {"difficulties"})
    candidates = Candidates(names[first].astype(str).tolist(), first, vectors, difficulty)
    pool, choice = keep(candidates, selector, config, timing)
    return _result(
        pool,
        config,
        (),
        choice,
        timing,
        source=Path(name).name if isinstance(embeddings, (str, Path)) else "embeddings",
        fingerprint=digest("\n".join(candidates.ids)),
        prompts=len(first),
        sample=None,
        duplicates=total - len(first),
        encoder="given",
        difficulty=None,
    )


def check_possible(
    prompts: PromptTable, config: ReductionConfig, has: Set[str] | None = None
) -> Selector:
    """Refuse data that cannot give what the options ask for, before anything is encoded.

    ``has`` is what selectors may read, any of ``difficulties`` and ``curves``; None is what the
    labels that the options name give. Returned is the selector.
    """
    if config.difficulty_key is not None and config.difficulty_key not in prompts.labels:
        raise SparftError(
            f"{prompts.source} was read without difficulty_key='{config.difficulty_key}'; read it "
            f"with that key, or {NO_DIFFICULTY}."
        )
    check_size(len(prompts), prompts.source, config)
    kept = config.kept(len(prompts)) or 0
    if isinstance(config.pool, int) and config.pool < min(kept, len(prompts)):
        raise SparftError(
            f"pool={config.pool} is fewer than the {kept} prompts to keep; raise it, or set "
            f"pool={AUTO}."
        )
    selector = config.build_selector()
    labelled = {"difficulties"} if config.difficulty_key else set()
    check_needs(config.selector, selector, labelled if has is None else has)
    return selector


def check_size(rows: int, source: str, config: ReductionConfig) -> None:
    """Refuse fewer prompts than clusters; a SparftError that names the source and the mend."""
    if config.clusters != AUTO and rows < int(config.clusters):
        raise SparftError(
            f"{source} has {rows} prompts, fewer than clusters={config.clusters}; set "
            f"clusters<={rows}."
        )


def warn_of_few(rows: int, source: str, config: ReductionConfig) -> None:
    """Warn of fewer prompts than are to be kept."""
    wanted, what = config.kept(rows) or 0, "clusters x per_cluster"
    if config.budget is not None:
        budget = parse_budget(config.budget)
        wanted, what = (int(budget.amount) if budget.unit == "prompts" else 0), "the budget"
    if rows < wanted:
        logger.warning(
            "%s has %d prompts, fewer than %s = %d; all are kept.", source, rows, what, wanted
        )


def pool_of(
    prompts: PromptTable, config: ReductionConfig, *, given: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Positions of the prompts to look at, by id, and the tokens of all if the budget counts them.

    The first ids are a random sample. ``given`` says that the prompts have vectors already.
    """
    order = np.argsort(np.array(prompts.ids), kind="stable")
    tokens, kept = None, config.kept(len(prompts))
    if config.budget is not None and kept is None:
        tokens = count_tokens(prompts.texts, config)
        kept = most_prompts(tokens, int(parse_budget(config.budget).amount))
    if config.pool == ALL or (given and config.pool == AUTO):
        return order, tokens
    if config.pool != AUTO:
        return order[: int(config.pool)], tokens
    kept = CANDIDATES[-1] * config.per_cluster if kept is None else kept
    return order[: max(POOL_SHARE * kept, POOL_LEAST)], tokens


class PickedTexts(Sequence[str]):
    """Some texts in another order, read when they are asked for."""

    def __init__(self, texts: Sequence[str], at: NDArray[np.int64]) -> None:
        self._texts, self._at = texts, at

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._texts[i] for i in self._at[index].tolist()]
        return self._texts[int(self._at[index])]


def _labelled(prompts: PromptTable, config: ReductionConfig) -> Difficulties | None:
    from sparft_plugin.difficulty.sources import SourceSpec, column_source, combine

    key = config.difficulty_key
    if key is None or key not in prompts.labels:
        return None
    return combine([column_source(SourceSpec("column", key), prompts)], prompts.rows)


def _taken(embeddings: Given, prompts: PromptTable, order: NDArray[np.int64]) -> Vectors:
    rows = len(prompts) + prompts.duplicates
    array, _ = open_vectors(embeddings, rows, len(prompts))
    each = order if len(array) == len(prompts) else prompts.rows[order]
    return take_vectors(embeddings, each, len(array))


def _words(
    texts: Sequence[str], order: NDArray[np.int64], arms: NDArray[np.int64]
) -> list[list[str]]:
    """Distinctive words of each arm, from its first texts by id, which are a random sample."""
    members = members_of(arms, int(arms.max()) + 1)
    used = np.concatenate([rows[:NAMED_TEXTS] for rows in members])
    return cluster_words((texts[i] for i in order[used].tolist()), arms[used], len(members))


def _result(
    pool: Pool,
    config: ReductionConfig,
    words: Sequence[Sequence[str]],
    choice: Mapping[str, Any],
    timing: Timing,
    hygiene: Hygiene | None = None,
    **data: Any,
) -> Reduction:
    """Put together what was kept, and the facts about it that pool and config tell."""
    counts = {} if hygiene is None else hygiene.counts
    total = counts.get("contaminated", {})
    with timing("explain"):
        facts = Manifest(
            version=sparft_plugin.__version__,
            options=asdict(config),
            seed=config.seed,
            pool=len(pool.ids),
            kept=len(pool.kept),
            near_duplicates=None if config.near_duplicates is None else counts["near_duplicates"],
            contaminated=total["total"] if total.get("by_file") else None,
            hygiene=counts or None,
            difficulty_histogram=difficulty_histogram(pool),
            arms=describe_arms(pool, words),
            coverage=coverage(pool),
            **choice,
            **data,
        )
    return Reduction(
        ids=tuple(pool.ids[i] for i in pool.kept),
        rows=pool.rows[pool.kept],
        arms=pool.arms[pool.kept],
        difficulties=pool.difficulties[pool.kept],
        facts=facts,
        seconds=timing.seconds,
        pool=pool,
        hygiene=hygiene,
    )


def _hashes(array: NDArray[np.floating], name: str) -> NDArray[np.bytes_]:
    """Name every vector by 128-bit BLAKE2b of its numbers, shape (n,)."""
    names = np.empty(len(array), dtype="S32")
    for place, block in blocks(array):
        unit = to_unit(block, name, row_of(range(place.start, place.stop)))
        names[place] = [hashlib.blake2b(row, digest_size=16).hexdigest() for row in unit]
    return names


def _checked(ids: Sequence[str], total: int) -> NDArray[np.str_]:
    names = np.array(ids, dtype=str)
    if names.shape != (total,) or len(np.unique(names)) < total:
        raise SparftError(
            f"ids must be {total} distinct names, one for each vector; there are {len(names)}, "
            f"{len(np.unique(names))} of them distinct."
        )
    return names


def _difficulty(values: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (total,) or not ((found >= 0) & (found <= 1)).all():
        raise SparftError(
            f"difficulties must be {total} numbers in [0, 1], one for each vector; map them first."
        )
    return found


def _means(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each group, in whatever order its values come."""
    order = np.lexsort((values, groups))
    sums = np.bincount(groups[order], values[order])
    means: NDArray[np.float64] = sums / np.bincount(groups)
    return means
