"""Names of clusters for people: the words that set each cluster apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.hygiene.words import words

READ, LONGEST = 20_000, 30
"""Characters of a text, and of a word, that are looked at."""
COMMON = 0.5
UNSPACED, HANGUL = "\u0e00", "\uac00"
"""Scripts between the two are written without spaces between words."""
# What scikit-learn's list leaves of function words, and of "don't", "I'll" and the like.
MORE_STOP_WORDS = frozenset(
    ["ain", "aren", "couldn", "did", "didn", "does", "doesn", "doing", "don", "hadn", "hasn"]
    + ["haven", "isn", "ll", "shouldn", "ve", "wasn", "weren", "wouldn"]
)


def cluster_words(
    texts: Iterable[str], arms: NDArray[np.int64], clusters: int, top: int = 5
) -> list[list[str]]:
    """Find the ``top`` most distinctive words of each cluster of texts by class-based TF-IDF.

    W_{t,c} = tf_{t,c} log(1 + A / f_t), with tf_{t,c} the share of word t among the words of
    cluster c, f_t its count over all clusters and A the mean number of words per cluster.
    Grootendorst 2022, https://arxiv.org/abs/2203.05794, Eq. 2.

    English stop words and tokens without a letter are no words; neither is, with two clusters or
    more, what stands in over half of the texts of every cluster, such as an instruction that ends
    each prompt. A cluster that has nothing else is named by those after all. A word is named where
    its share is at least its share overall; of a word and its plural in -s only the heavier is.
    Scripts without spaces are read in pairs of letters. Of equal words the first by alphabet leads.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    stop_words = sorted(ENGLISH_STOP_WORDS | MORE_STOP_WORDS)
    counter = CountVectorizer(tokenizer=_tokens, token_pattern=None, stop_words=stop_words)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:
        # It refuses texts without any word.
        return [[] for _ in range(clusters)]
    names, ones = counter.get_feature_names_out(), np.ones(len(arms), dtype=np.int64)
    member = csr_matrix((ones, (arms, np.arange(len(arms)))), shape=(clusters, len(arms)))
    sizes = np.bincount(arms, minlength=clusters)
    holders = (member @ counts.sign())[sizes > 0].multiply(1 / sizes[sizes > 0, None])
    everywhere = np.asarray((holders > COMMON).sum(axis=0)).ravel() == holders.shape[0]
    common = everywhere & (holders.shape[0] > 1)
    spoken = member @ counts
    first, rest = (_heaviest(spoken, among, names, top) for among in (~common, common))
    return [a or b for a, b in zip(first, rest, strict=True)]


def _heaviest(
    spoken: Any, among: NDArray[np.bool_], names: NDArray[np.object_], top: int
) -> list[list[str]]:
    """For each cluster the words of largest weight; ``spoken``, (K, words), counts what it says."""
    spoken, names = spoken[:, among].tocsr(), names[among]
    overall = np.asarray(spoken.sum(axis=0)).ravel()
    totals = np.asarray(spoken.sum(axis=1)).ravel()
    mean = overall.sum() / max(1, np.count_nonzero(totals))
    found = []
    for row, total in zip(spoken, totals, strict=True):
        word, count = row.indices, row.data
        more = count * overall.sum() >= overall[word] * total
        word, count = word[more], count[more]
        # Within a cluster, dividing by its number of words changes no order.
        weight = count * np.log1p(mean / overall[word])
        found.append(_without_plurals(names[word[np.lexsort((word, -weight))]])[:top])
    return found


def _without_plurals(names: Iterable[str]) -> list[str]:
    kept: dict[str, None] = {}
    for name in names:
        if f"{name}s" not in kept and name.removesuffix("s") not in kept:
            kept[name] = None
    return list(kept)


def _tokens(text: str) -> list[str]:
    """Words of a text with a letter in them; of scripts without spaces, neighbouring letters."""
    found = words(text[:READ])
    pairs = [
        a + b
        for a, b in zip(found, found[1:], strict=False)
        if min(a, b) >= UNSPACED and max(a, b) < HANGUL
    ]
    return pairs + [word for word in found if 1 < len(word) <= LONGEST and not word.isdecimal()]
