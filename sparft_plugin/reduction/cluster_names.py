"""Names of clusters for people: the words that set each cluster apart."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Weigh = Callable[[Integers, Floats, float], Floats]

CHUNK = 2048
BUFFER = 1 << 20
READ = 20_000
LONGEST = 30
COMMON = 0.5
# Each word chosen rules out two at most, its plural and its singular.
CANDIDATES = 3

# What scikit-learn's list leaves of function words, and of "don't", "I'll" and the like.
_MORE_STOP_WORDS = frozenset(
    ["ain", "aren", "couldn", "did", "didn", "does", "doesn", "doing", "don", "hadn", "hasn"]
    + ["haven", "isn", "ll", "shouldn", "ve", "wasn", "weren", "wouldn"]
)
# Scripts written without spaces, where a run of letters is a clause: their words are letter pairs.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)
_ASCII = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHE = re.compile("['\u2019]")


def cluster_words(
    texts: Iterable[str], arms: Sequence[int], clusters: int, top: int = 5
) -> list[list[str]]:
    """Find the most distinctive words of each cluster by class-based TF-IDF.

    W_{t,c} = tf_{t,c} log(1 + A / f_t), with tf_{t,c} the share of word t among the words of
    cluster c, f_t its count over all clusters and A the mean number of words per cluster.
    Grootendorst 2022, https://arxiv.org/abs/2203.05794, Eq. 2.

    English stop words and tokens without a letter are no words; neither is, with two clusters or
    more, what stands in over half of the texts of every cluster, such as an instruction that ends
    each prompt. A cluster that has nothing else is named by those after all, and one without any
    word by its most frequent tokens. A word is named where its share is at least its share
    overall. Of a word and its plural in -s only the heavier is named.
    Scripts without spaces are read in pairs of letters.

    The order of the texts changes nothing. Memory grows with the number of different words, not
    with the number of texts; of each text the first 20,000 characters are read, and tokens of more
    than 30 characters are left out.

    Parameters
    ----------
    texts : iterable of str, length n
        Texts of the prompts; read once, in blocks.
    arms : sequence of int, length n
        Cluster of each text, in 0 .. clusters - 1.
    clusters : int >= 1
        Number of clusters; one without texts gets no words.
    top : int >= 1, default 5
        Words per cluster.

    Returns
    -------
    list of list of str
        For each cluster at most ``top`` words, the most distinctive first, ties in alphabetical
        order.

    Raises
    ------
    SparftError
        If ``arms`` has another length than ``texts`` or names a cluster that does not exist.
    """
    member = np.asarray(arms, dtype=np.int64).reshape(-1)
    if clusters < 1 or top < 1:
        raise SparftError(f"clusters={clusters} and top={top} must both be at least 1.")
    if len(member) and (member.min() < 0 or member.max() >= clusters):
        raise SparftError(
            f"arms must lie in 0 .. {clusters - 1}, not {_outside(member, clusters)}."
        )
    words, tokens = _Counts(clusters), _Counts(clusters)
    analyse = _analyser()
    done = 0
    for chunk in _chunks(texts):
        own = member[done : done + len(chunk)]
        done += len(chunk)
        if len(own) < len(chunk):
            break
        found = [analyse(text[:READ]) for text in chunk]
        words.add(found, own)
        mute = [i for i, text_words in enumerate(found) if not text_words]
        tokens.add([_tokens(chunk[i][:READ].lower()) for i in mute], own[mute])
    if done != len(member):
        raise SparftError(f"arms names {len(member)} texts, but there are {_count(done, member)}.")
    return _choose(words, tokens, np.bincount(member, minlength=clusters), top)


def _outside(member: Integers, clusters: int) -> int:
    return int(member[(member < 0) | (member >= clusters)][0])


def _count(done: int, member: Integers) -> str:
    return str(done) if done < len(member) else "more"


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    source = iter(texts)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


class _Counts:
    """How often each word stands in each cluster, and in how many of its texts.

    A pair of word and cluster is one number, word * clusters + cluster, so that new words renumber
    nothing.
    """

    def __init__(self, clusters: int) -> None:
        self.clusters = clusters
        self.numbers: defaultdict[str, int] = defaultdict()
        self.numbers.default_factory = self.numbers.__len__
        self._sums = np.zeros((3, 0), dtype=np.int64)
        self._new: list[Integers] = []

    def add(self, found: Sequence[Sequence[str]], arms: Integers) -> None:
        """Count the words of some texts, each a list, with the cluster of each text."""
        occurrences = self._pairs(found, arms)
        holders = self._pairs([sorted(set(words)) for words in found], arms)
        of, held = np.ones_like(occurrences), np.ones_like(holders)
        said = np.stack([occurrences, of, np.zeros_like(of)])
        self._new.append(_summed([said, np.stack([holders, np.zeros_like(held), held])]))
        # Waiting for as many as there are keeps the whole work linear in the number of texts.
        if sum(part.shape[1] for part in self._new) > self._sums.shape[1] + BUFFER:
            self.sums()

    def _pairs(self, found: Sequence[Sequence[str]], arms: Integers) -> Integers:
        word = np.array([self.numbers[word] for words in found for word in words], dtype=np.int64)
        return word * self.clusters + np.repeat(arms, [len(words) for words in found])

    def sums(self) -> tuple[Integers, Integers, Integers, Integers]:
        """Word, cluster, occurrences and texts that hold it, for each pair that was met."""
        self._sums, self._new = _summed([self._sums, *self._new]), []
        word, cluster = np.divmod(self._sums[0], self.clusters)
        return word, cluster, self._sums[1], self._sums[2]

    def common(self, sizes: Integers) -> NDArray[np.bool_]:
        """Which words stand in over half of the texts of every cluster, shape (words,)."""
        filled = np.count_nonzero(sizes)
        word, cluster, _, holders = self.sums()
        often = word[holders > COMMON * sizes[cluster]]
        clusters = np.bincount(often, minlength=len(self.numbers))
        everywhere: NDArray[np.bool_] = (clusters == filled) & (filled > 1)
        return everywhere

    def ranked(self, among: NDArray[np.bool_], weigh: Weigh, top: int) -> list[list[str]]:
        """Choose for each cluster the ``top`` words of largest weight among some."""
        names = list(self.numbers)
        word, cluster, counts, _ = self.sums()
        here = among[word]
        word, cluster, counts = word[here], cluster[here], counts[here]
        totals = np.bincount(word, weights=counts, minlength=len(names))
        spoken = np.bincount(cluster, weights=counts, minlength=self.clusters)
        mean = counts.sum() / max(1, np.count_nonzero(spoken))
        # Said more often here than overall: else a word so frequent that it leads every list.
        apart = counts * counts.sum() >= totals[word] * spoken[cluster]
        chosen = []
        for arm in range(self.clusters):
            own = apart & (cluster == arm)
            words = word[own]
            weights = weigh(counts[own], totals[words], mean)
            # Those that tie with the last candidate come along, for names to break the tie.
            near = weights >= np.sort(weights)[-CANDIDATES * top :].min(initial=np.inf)
            best = sorted(
                (-weight, names[number])
                for weight, number in zip(weights[near].tolist(), words[near].tolist(), strict=True)
            )
            chosen.append(_without_plurals(name for _, name in best)[:top])
        return chosen


def _summed(parts: Sequence[Integers]) -> Integers:
    """Add up columns of (pair, occurrences, holders) that have the same pair."""
    every = np.concatenate(parts, axis=1)
    pairs, place = np.unique(every[0], return_inverse=True)
    totals = [np.bincount(place, weights=row, minlength=len(pairs)) for row in every[1:]]
    return np.stack([pairs, *totals]).astype(np.int64)


def _without_plurals(names: Iterable[str]) -> list[str]:
    kept: dict[str, None] = {}
    for name in names:
        if f"{name}s" not in kept and name.removesuffix("s") not in kept:
            kept[name] = None
    return list(kept)


def _class_tf_idf(counts: Integers, totals: Floats, mean: float) -> Floats:
    # Within a cluster, the division of tf by the cluster's number of words changes no order.
    weights: Floats = counts * np.log1p(mean / totals)
    return weights


def _frequency(counts: Integers, totals: Floats, mean: float) -> Floats:
    return counts.astype(np.float64)


def _choose(words: _Counts, tokens: _Counts, sizes: Integers, top: int) -> list[list[str]]:
    common = words.common(sizes)
    every = np.ones(len(tokens.numbers), dtype=np.bool_)
    ranks = (
        words.ranked(~common, _class_tf_idf, top),
        words.ranked(common, _class_tf_idf, top),
        tokens.ranked(every, _frequency, top),
    )
    return [a or b or c for a, b, c in zip(*ranks, strict=True)]


@lru_cache(maxsize=1)
def _analyser() -> Callable[[str], list[str]]:
    """From a text to its words: lower case, stop words and numbers left out."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    vectorizer = CountVectorizer(
        tokenizer=_words,
        token_pattern=None,
        stop_words=sorted(ENGLISH_STOP_WORDS | _MORE_STOP_WORDS),
    )
    analyse: Callable[[str], list[str]] = vectorizer.build_analyzer()
    return analyse


def _words(text: str) -> list[str]:
    return [word for token in _tokens(text) for word in _parts(token)]


def _tokens(text: str) -> list[str]:
    if text.isascii():
        found = _ASCII.findall(text)
    else:
        # Python's \w has no combining marks, without which Hindi falls apart inside its words.
        spaced = _UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFC", text))
        found = _any_script().findall(spaced)
    return [token for token in found if len(token) <= LONGEST or _UNSPACED.match(token)]


@lru_cache(maxsize=1 << 16)
def _parts(token: str) -> tuple[str, ...]:
    if _UNSPACED.match(token):
        return tuple(token[i : i + 2] for i in range(len(token) - 1))
    pieces = _APOSTROPHE.split(token)
    word = max(pieces, key=len)
    if len(word) < 2 or pieces[-1] == "t" or not any(letter.isalpha() for letter in word):
        return ()
    return (word,)


@lru_cache(maxsize=1)
def _any_script() -> re.Pattern[str]:
    codes = map(chr, range(0x300, 0xFFFF))
    marks = "".join(code for code in codes if unicodedata.category(code) in ("Mn", "Mc"))
    letters = rf"(?:[^\W_]|[{marks}])+"
    return re.compile(rf"{letters}(?:['\u2019]{letters})*")
