"""From prompts to a small, varied set with arms: ``reduction = reduce(prompts, config)``."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.difficulty.sources import Difficulties, SourceSpec, column_source, combine
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import NO_DIFFICULTY, PromptTable
from sparft_plugin.reduction.budget import parse_budget
from sparft_plugin.reduction.cluster_names import cluster_words
from sparft_plugin.reduction.config import AUTO, ReductionConfig
from sparft_plugin.reduction.encode import encode_texts
from sparft_plugin.reduction.engines.base import Engine, Local
from sparft_plugin.reduction.folders import cache_folder
from sparft_plugin.reduction.hygiene import Evaluation, Hygiene, clean
from sparft_plugin.reduction.hygiene.near import check_threshold
from sparft_plugin.reduction.keep import Candidates, keep
from sparft_plugin.reduction.manifest import build_manifest
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.reduction.selectors.base import Selector, check_needs
from sparft_plugin.reduction.timing import Timing
from sparft_plugin.reduction.tokens import budget_in_tokens, count_tokens
from sparft_plugin.reduction.vectors import Vectors, given_vectors

logger = logging.getLogger(__name__)

NAMED_TEXTS = 2000
"""Texts of a cluster that its words are taken from."""


def reduce(
    prompts: PromptTable,
    config: ReductionConfig,
    *,
    embeddings: Vectors | NDArray[np.floating] | None = None,
    difficulties: Difficulties | None = None,
    curves: NDArray[np.float64] | None = None,
    evaluations: Sequence[Evaluation] = (),
    engine: Engine | None = None,
    progress: bool = True,
) -> Reduction:
    """Keep a few prompts that stand for all: embed, clean, cluster, select, explain.

    Stage one of SPaRFT (arXiv 2508.05015). The order of the rows changes nothing, and the same
    prompts, options and vectors give the same result.

    Parameters
    ----------
    prompts : PromptTable
        The training prompts, n of them.
    config : ReductionConfig
        Options.
    embeddings : Vectors or ndarray of float, shape (n, d), optional
        Vectors in the order of ``prompts.ids``; None encodes the texts.
    difficulties : Difficulties, optional
        One per prompt; None reads ``config.difficulty_key`` from the labels of the table.
    curves : ndarray of float64, shape (n, visits), optional
        Solve rate at each visit of a logged run, for the selector ``limr``; NaN if not visited.
    evaluations : sequence of Evaluation
        Sets whose prompts must not be kept. With ``embeddings``, those without vectors of their own
        are compared by words only.
    engine : Engine, optional
        Where encoding and assignment run; None is this process.
    progress : bool, default True
        Show a bar on stderr while texts are encoded.

    Raises
    ------
    SparftError
        If the data cannot give what the options ask for, or a plugin breaks its contract.
    """
    timing, engine = Timing(), engine or Local()
    difficulties = difficulties or _labelled(prompts, config)
    given = {"difficulties": difficulties, "curves": curves}
    has = {name for name, value in given.items() if value is not None}
    selector = check_possible(prompts, config, has)
    warn_of_few(len(prompts), prompts.source, config)
    counted = count_tokens(prompts.texts, config) if budget_in_tokens(config) else None
    with timing("embed"):
        if embeddings is None:
            vectors, encoder = _encoded(prompts.texts, config, engine, progress)
            evaluations = [_embedded(each, config, engine, progress) for each in evaluations]
        else:
            vectors, encoder = _given(embeddings, len(prompts)), "given"
    with timing("hygiene"):
        hygiene = _clean(prompts, vectors, evaluations, config)
    order = np.argsort(np.array(prompts.ids), kind="stable")
    if hygiene is not None:
        order = order[hygiene.kept[order]]
        check_size(len(order), f"{prompts.source}, after hygiene,", config)
    candidates = Candidates(
        ids=[prompts.ids[i] for i in order],
        rows=prompts.rows[order],
        vectors=vectors.moved(_ranks(order, len(prompts)), len(order)),
        difficulties=None if difficulties is None else difficulties.values[order],
        curves=None if curves is None else curves[order],
        tokens=None if counted is None else counted[order],
    )
    pool, choice = keep(candidates, selector, config, engine, timing)
    with timing("explain"):
        words = _words(prompts, order, pool.arms)
        data = {
            "source": prompts.source,
            "fingerprint": prompts.fingerprint,
            "duplicates": prompts.duplicates,
            "encoder": encoder,
            "difficulty": None if difficulties is None else difficulties.manifest,
            "hygiene": None if hygiene is None else hygiene.counts,
        }
        manifest = build_manifest(data, config, pool, words, choice)
    return Reduction.of(pool, manifest, timing.seconds, hygiene)


def check_possible(
    prompts: PromptTable, config: ReductionConfig, has: Set[str] | None = None
) -> Selector:
    """Refuse data that cannot give what the options ask for, before anything is encoded.

    Parameters
    ----------
    prompts, config
        As for ``reduce``.
    has : set of str, optional
        What selectors may read: any of ``difficulties`` and ``curves``; None is what the labels
        that the options name give.

    Returns
    -------
    Selector
        The one that the options name.

    Raises
    ------
    SparftError
        If there are fewer prompts than clusters, the labels asked for were not read, or the
        selector is unknown or needs what is not there.
    """
    if config.difficulty_key is not None and config.difficulty_key not in prompts.labels:
        raise SparftError(
            f"{prompts.source} was read without difficulty_key='{config.difficulty_key}'; read it "
            f"with that key, or {NO_DIFFICULTY}."
        )
    check_size(len(prompts), prompts.source, config)
    if config.near_duplicates is not None:
        check_threshold("near_duplicates", config.near_duplicates)
    selector = config.build_selector()
    labelled = {"difficulties"} if config.difficulty_key else set()
    check_needs(config.selector, selector, labelled if has is None else has)
    return selector


def check_size(rows: int, source: str, config: ReductionConfig) -> None:
    """Refuse fewer prompts than clusters.

    Raises
    ------
    SparftError
        Naming the source and the mend.
    """
    if config.clusters != AUTO and rows < int(config.clusters):
        raise SparftError(
            f"{source} has {rows} prompts, fewer than clusters={config.clusters}; set "
            f"clusters<={rows}."
        )


def warn_of_few(rows: int, source: str, config: ReductionConfig) -> None:
    """Warn of fewer prompts than are to be kept."""
    wanted, what = 0, "clusters x per_cluster"
    if config.budget is not None:
        budget = parse_budget(config.budget)
        wanted, what = (int(budget.amount), "the budget") if budget.unit == "prompts" else (0, "")
    elif config.clusters != AUTO:
        wanted = int(config.clusters) * config.per_cluster
    if rows < wanted:
        logger.warning(
            "%s has %d prompts, fewer than %s = %d; all are kept.", source, rows, what, wanted
        )


def _labelled(prompts: PromptTable, config: ReductionConfig) -> Difficulties | None:
    key = config.difficulty_key
    if key is None or key not in prompts.labels:
        return None
    return combine([column_source(SourceSpec("column", key), prompts)], prompts.rows)


def _given(embeddings: Vectors | NDArray[np.floating], rows: int) -> Vectors:
    if isinstance(embeddings, Vectors):
        return embeddings
    return given_vectors(embeddings, np.arange(rows), rows)


def _encoded(
    texts: Sequence[str], config: ReductionConfig, engine: Engine, progress: bool
) -> tuple[Vectors, str]:
    cache = cache_folder("embeddings")
    return encode_texts(texts, config.embedder, config.encoding, engine, cache, progress=progress)


def _embedded(
    evaluation: Evaluation, config: ReductionConfig, engine: Engine, progress: bool
) -> Evaluation:
    if evaluation.vectors is not None:
        return evaluation
    vectors, _ = _encoded(evaluation.texts, config, engine, progress)
    return replace(evaluation, vectors=vectors.take(np.arange(len(evaluation.texts))))


def _clean(
    prompts: PromptTable,
    vectors: Vectors,
    evaluations: Sequence[Evaluation],
    config: ReductionConfig,
) -> Hygiene | None:
    if not evaluations and config.near_duplicates is None:
        return None
    by_id = np.argsort(np.array(prompts.ids), kind="stable")
    return clean(
        prompts,
        vectors.take(by_id),
        evaluations,
        near_duplicate_threshold=config.near_duplicates,
    )


def _ranks(order: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """Position of each row in the order; -1 for a row that is not in it."""
    ranks = np.full(rows, -1, dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _words(
    prompts: PromptTable, order: NDArray[np.int64], arms: NDArray[np.int64]
) -> list[list[str]]:
    """Distinctive words of each arm, from its first texts by id, which are a random sample."""
    clusters = int(arms.max()) + 1
    rows = [np.flatnonzero(arms == arm)[:NAMED_TEXTS] for arm in range(clusters)]
    used = np.concatenate(rows)
    return cluster_words(
        (prompts.texts[i] for i in order[used].tolist()), arms[used].tolist(), clusters
    )
