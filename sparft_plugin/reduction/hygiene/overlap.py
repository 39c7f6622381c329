"""Word-for-word overlap of training prompts with evaluation prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence, Set
from typing import NamedTuple

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.hygiene.words import plain, words

NGRAM = 13
"""Words of the n-grams that count as a copy: GPT-3 (arXiv 2005.14165, appendix C)."""
MIN_WORDS = 8
"""A whole evaluation prompt must have this many words to be looked for inside longer prompts."""
PHRASE = 5
"""Words of a stock phrase."""
STOCK_SHARE = 0.1
"""A phrase in more than this share of an evaluation set's different prompts is a stock phrase..."""
STOCK_PROMPTS = 4
"""... if it is in at least this many of them."""

Words = tuple[str, ...]


class Overlap(NamedTuple):
    """What a training prompt shares with one evaluation prompt."""

    prompt: int
    """Index of the evaluation prompt, the first of equal ones."""
    score: float
    """Share of the evaluation prompt's n-grams that the training prompt holds, in (0, 1]."""
    shared: str
    """The longest run of shared words."""


class OverlapIndex:
    """The n-grams of one evaluation set, to look training prompts up in.

    A training prompt is contaminated if it shares one n-gram of words with an evaluation prompt,
    after both lost their stock phrases. An evaluation prompt of which less than an n-gram remains
    must occur word for word as a whole, stock phrases included; and if it has fewer than
    ``MIN_WORDS`` words, it must be the whole training prompt, up to case and white space. So an
    exact copy is always found.

    Stock phrases are runs of ``PHRASE`` words in more than ``STOCK_SHARE`` of the set's different
    prompts and in at least ``STOCK_PROMPTS`` of them: instructions such as "let's think step by
    step and output the final answer after" or AIME's "where m and n are relatively prime positive
    integers". They say nothing about a copy, and an n-gram that reaches from one into the question
    before it says little. In a set of fewer than ``STOCK_PROMPTS`` prompts nothing is stock.

    13-grams, lower case and no punctuation are GPT-3's (Brown et al. 2020, arXiv 2005.14165,
    appendix C), which uses no n-gram shorter than ``MIN_WORDS``; the stock phrases are ours. They
    are counted in the evaluation set alone, so that a prompt cannot escape by being leaked often.
    Memory grows with the words of the evaluation set (about 200 bytes each), not with the corpus.

    ``texts`` are the evaluation prompts, one at least; ``ngram`` >= 5 is the number of words.
    """

    def __init__(self, texts: Sequence[str], ngram: int = NGRAM) -> None:
        if ngram < PHRASE:
            raise SparftError(
                f"ngram={ngram} is too short, every prompt shares such words by chance; set "
                f"ngram>={PHRASE} (the common choice is {NGRAM})."
            )
        self.ngram = ngram
        self._min_words = min(MIN_WORDS, ngram)
        self._holders: dict[Words, list[int]] = {}
        self._totals: dict[int, int] = {}
        self._wholes: dict[Words, dict[int, dict[Words, int]]] = {}
        self._equals: dict[str, int] = {}
        self._vocabulary: dict[str, str] = {}
        first: dict[str, int] = {}
        for prompt, text in enumerate(texts):
            first.setdefault(plain(text), prompt)
        split = {prompt: self._interned(texts[prompt]) for prompt in first.values()}
        self.stock = _stock_phrases(split.values())
        """The stock phrases that are looked past, sorted."""
        self._stock = frozenset(self.stock)
        for whole, prompt in first.items():
            self._add(prompt, split[prompt], whole)

    def find(self, text: str) -> Overlap | None:
        """The evaluation prompt of which a training prompt holds the largest share, or None.

        Of equal ones it is the first.
        """
        said = words(text)
        found = [*self._shared_ngrams(said), *self._whole_prompts(said)]
        if self._equals and (prompt := self._equals.get(plain(text))) is not None:
            found.append(Overlap(prompt, 1.0, " ".join(said)))
        return min(found, key=lambda overlap: (-overlap.score, overlap.prompt), default=None)

    def _interned(self, text: str) -> list[str]:
        return [self._vocabulary.setdefault(word, word) for word in words(text)]

    def _add(self, prompt: int, said: list[str], whole: str) -> None:
        content = _without(said, self._stock)
        if len(content) >= self.ngram:
            ngrams = set(_ngrams(content, self.ngram))
            self._totals[prompt] = len(ngrams)
            for ngram in ngrams:
                self._holders.setdefault(ngram, []).append(prompt)
        elif len(said) >= self._min_words:
            by_length = self._wholes.setdefault(tuple(said[: self._min_words]), {})
            by_length.setdefault(len(said), {}).setdefault(tuple(said), prompt)
        else:
            self._equals[whole] = prompt

    def _shared_ngrams(self, said: list[str]) -> Iterator[Overlap]:
        content = _without(said, self._stock)
        starts: dict[int, list[int]] = {}
        for start, ngram in enumerate(_ngrams(content, self.ngram)):
            for prompt in self._holders.get(ngram, ()):
                starts.setdefault(prompt, []).append(start)
        for prompt, where in starts.items():
            different = {tuple(content[start : start + self.ngram]) for start in where}
            begin, end = _longest_run(where, self.ngram)
            score = len(different) / self._totals[prompt]
            yield Overlap(prompt, score, " ".join(content[begin:end]))

    def _whole_prompts(self, said: list[str]) -> Iterator[Overlap]:
        for start, head in enumerate(_ngrams(said, self._min_words)):
            for length, wholes in self._wholes.get(head, {}).items():
                prompt = wholes.get(tuple(said[start : start + length]))
                if prompt is not None:
                    yield Overlap(prompt, 1.0, " ".join(said[start : start + length]))


def _stock_phrases(prompts: Collection[Sequence[str]]) -> tuple[Words, ...]:
    counts = Counter(phrase for said in prompts for phrase in set(_ngrams(said, PHRASE)))
    least = max(STOCK_PROMPTS, int(STOCK_SHARE * len(prompts)) + 1)
    return tuple(sorted(phrase for phrase, count in counts.items() if count >= least))


def _without(said: list[str], phrases: Set[Words]) -> list[str]:
    """Take out every word that lies in one of the phrases."""
    where = [i for i, phrase in enumerate(_ngrams(said, PHRASE)) if phrase in phrases]
    covered = {i + step for i in where for step in range(PHRASE)}
    return [word for i, word in enumerate(said) if i not in covered]


def _ngrams(said: Sequence[str], length: int) -> Iterator[Words]:
    return zip(*(said[start:] for start in range(length)), strict=False)


def _longest_run(starts: Sequence[int], length: int) -> tuple[int, int]:
    """Begin and end of the longest stretch that n-grams at these increasing starts cover."""
    best = run = starts[0], starts[0] + length
    for start in starts[1:]:
        run = (run[0] if start <= run[1] else start, start + length)
        best = max(best, run, key=lambda stretch: stretch[1] - stretch[0])
    return best
