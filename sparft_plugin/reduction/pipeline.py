"""From a prompt table to a small, varied set with arms: ``reduction = reduce(prompts, config)``."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from sparft_plugin import plugins
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import NO_DIFFICULTY, PromptTable
from sparft_plugin.reduction.cluster import cluster
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.features import build_features
from sparft_plugin.reduction.manifest import build_manifest
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.reduction.select import Selector

logger = logging.getLogger(__name__)


def reduce(
    prompts: PromptTable,
    config: ReductionConfig,
    *,
    embeddings: NDArray[np.floating] | None = None,
) -> Reduction:
    """Keep a few prompts that stand for all: embed, cluster, select.

    Stage one of SPaRFT (arXiv 2508.05015). The order of the rows changes nothing, and the same
    prompts, options and vectors give the same result.

    Parameters
    ----------
    prompts : PromptTable
        The training prompts, n of them.
    config : ReductionConfig
        Options. Labels that the table has are kept even if ``difficulty_key`` is None.
    embeddings : ndarray of float, shape (n, d), optional
        Vectors in the order of ``prompts.ids``; None encodes the texts.

    Raises
    ------
    SparftError
        If the data cannot give what the options ask for, or a plugin breaks its contract.
    """
    check_possible(prompts, config)
    selector: Selector = plugins.build("selector", config.selector)
    order = np.argsort(np.array(prompts.ids), kind="stable")
    ids = [prompts.ids[i] for i in order]
    labels = prompts.difficulties
    seconds: dict[str, float] = {}
    with _timed("embed", seconds):
        vectors, encoder = _vectors(prompts, order, config, embeddings)
    with _one_thread():
        with _timed("features", seconds):
            features = build_features(
                vectors,
                labels[order] if labels is not None and config.difficulty_key else None,
                components=config.pca_components,
                difficulty_weight=config.difficulty_weight,
            )
        with _timed("cluster", seconds):
            arms = cluster(features, ids, config.clusters, config.seed)
        with _timed("select", seconds):
            kept = _select(selector, features, arms, config)
    source = order[kept]
    difficulties = np.full(len(prompts), np.nan) if labels is None else labels
    return Reduction(
        ids=tuple(ids[i] for i in kept),
        rows=prompts.rows[source],
        arms=arms[kept],
        difficulties=difficulties[source],
        manifest=build_manifest(
            prompts, config, arms, arms[kept], difficulties[source], encoder, seconds
        ),
    )


def allocate(sizes: NDArray[np.int64], per_cluster: int) -> NDArray[np.int64]:
    """Decide how many prompts each cluster gives.

    Each gives ``per_cluster`` or all it has; what small ones cannot give is taken, one at a time,
    from the cluster with most members left (the lowest arm of equal ones).

    Parameters
    ----------
    sizes : ndarray of int64, shape (K,)
        Members of each cluster.
    per_cluster : int >= 1
        Members wanted of each.

    Returns
    -------
    ndarray of int64, shape (K,)
        At most ``sizes``; the sum is K * per_cluster, or all members if there are fewer.
    """
    quotas = np.minimum(sizes, per_cluster)
    missing = min(len(sizes) * per_cluster, int(sizes.sum())) - int(quotas.sum())
    for _ in range(missing):
        quotas[(sizes - quotas).argmax()] += 1
    return quotas


def check_possible(prompts: PromptTable, config: ReductionConfig) -> None:
    """Refuse data that cannot give what the options ask for, before anything is encoded.

    Raises
    ------
    SparftError
        If there are fewer prompts than clusters, or the labels asked for were not read.
    """
    if len(prompts) < config.clusters:
        raise SparftError(
            f"{prompts.source} has {len(prompts)} prompts, fewer than clusters={config.clusters}; "
            f"set clusters<={len(prompts)}."
        )
    if config.difficulty_key is not None and prompts.labels is None:
        raise SparftError(
            f"{prompts.source} was read without difficulty_key='{config.difficulty_key}'; read it "
            f"with that key, or {NO_DIFFICULTY}."
        )
    wanted = config.clusters * config.per_cluster
    if len(prompts) < wanted:
        logger.warning(
            "%s has %d prompts, fewer than clusters x per_cluster = %d; all are kept.",
            prompts.source,
            len(prompts),
            wanted,
        )


def _vectors(
    prompts: PromptTable,
    order: NDArray[np.int64],
    config: ReductionConfig,
    given: NDArray[np.floating] | None,
) -> tuple[NDArray[np.floating], str]:
    """Vectors in the order of sorted ids, and the identity of their encoder."""
    if given is None:
        embedder = plugins.build("embedder", config.embedder, {"model": config.encoder})
        encoder = str(embedder.identity)
        vectors = np.asarray(embedder.encode([prompts.texts[i] for i in order]))
    else:
        encoder, vectors = "given", np.asarray(given)
    if vectors.ndim != 2 or len(vectors) != len(prompts) or not vectors.size:
        raise SparftError(
            f"the embeddings ({encoder}) have shape {vectors.shape}; one row for each of the "
            f"{len(prompts)} prompts is needed."
        )
    if given is not None:
        vectors = vectors[order]
    if not np.isfinite(vectors).all():
        row = order[np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0]]
        raise SparftError(
            f"the embedding ({encoder}) of {prompts.source}, row {prompts.rows[row]} is not "
            "finite; use another encoder or drop the row."
        )
    return vectors, encoder


def _select(
    selector: Selector,
    features: NDArray[np.float64],
    arms: NDArray[np.int64],
    config: ReductionConfig,
) -> NDArray[np.int64]:
    quotas = allocate(np.bincount(arms, minlength=config.clusters), config.per_cluster)
    kept = []
    for arm, quota in enumerate(quotas.tolist()):
        members = np.flatnonzero(arms == arm)
        rng = np.random.default_rng((config.seed, arm))
        chosen = np.asarray(selector.select(features[members], quota, rng))
        if not _is_choice(chosen, quota, len(members)):
            raise SparftError(
                f"the selector '{config.selector}' must choose {quota} distinct rows of "
                f"{len(members)} but gave {chosen.tolist()}; mend or replace that plugin."
            )
        kept.append(members[chosen])
    return np.concatenate(kept)


def _is_choice(chosen: NDArray[np.int64], quota: int, members: int) -> bool:
    return (
        chosen.shape == (quota,)
        and np.issubdtype(chosen.dtype, np.integer)
        and len(set(chosen.tolist())) == quota
        and bool(((chosen >= 0) & (chosen < members)).all())
    )


@contextmanager
def _timed(part: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - start, 3)


@contextmanager
def _one_thread() -> Iterator[None]:
    # Threads add floats in the order they finish, so more than one would make last bits chance.
    # A limit binds only the libraries already loaded, hence scikit-learn first.
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
