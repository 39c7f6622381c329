"""Hygiene: ``hygiene = clean(prompts, vectors, evaluations, ...)`` says which prompts may stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.hygiene.cosine import check_threshold
from sparft_plugin.reduction.hygiene.duplicates import NearDuplicate, near_duplicates
from sparft_plugin.reduction.hygiene.overlap import NGRAM, OverlapIndex
from sparft_plugin.reduction.hygiene.similarity import similar
from sparft_plugin.reduction.vectors import Vectors

SIMILARITY = 0.9
"""Default cosine at which a training prompt counts as an evaluation prompt reworded.

With all-MiniLM-L6-v2, of GSM8K's 7,473 training questions 108 / 12 / 0 / 0 reach 0.80 / 0.85 / 0.90
/ 0.95 with a test question, and those at 0.85 share no more than a topic. Of 400 test questions
with other numbers 98 / 88 / 52 % are found at 0.85 / 0.90 / 0.95, with other names and numbers
63 / 41 / 18 %; together with 13-grams 99 / 95 / 85 % and 79 / 72 / 66 %. The encoder reads the
first 256 word pieces only, so long prompts with a common beginning look more alike than they are.
"""

NGRAM_KIND, SIMILAR_KIND = "ngram", "similar"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation set that the training prompts must not hold."""

    name: str
    """Its file, as the user named it."""
    texts: Sequence[str]
    """Text of each prompt, m of them."""
    rows: NDArray[np.int64]
    """Row of each prompt in its file, shape (m,)."""
    vectors: NDArray[np.float32] | None = None
    """Unit vectors by the encoder of the training prompts, shape (m, d). Without them ``reduce``
    encodes the texts if it encodes the prompts, and ``clean`` looks at words only."""

    @classmethod
    def read(cls, corpus: Corpus, name: str) -> Evaluation:
        """Read an evaluation set, of which only the texts matter; equal ones count once.

        Raises
        ------
        SparftError
            If a source cannot be read, or a row has no text.
        """
        first: dict[str, int] = {}
        for row, text in enumerate(corpus.texts()):
            first.setdefault(text, row)
        return cls(name, list(first), np.array(list(first.values()), dtype=np.int64))


class Contaminated(NamedTuple):
    """A training prompt and the evaluation prompt that it gives away."""

    position: int
    """Position of the training prompt."""
    evaluation: int
    """Number of the evaluation set."""
    prompt: int
    """Position of the evaluation prompt in its set."""
    kind: str
    """``ngram``: words are shared; ``similar``: the embeddings are close."""
    score: float
    """Share of the evaluation prompt's n-grams that were found, or the cosine."""
    shared: str
    """The longest run of shared words; empty for ``similar``."""


@dataclass(frozen=True, eq=False)
class Hygiene:
    """What may stay of a pool of n prompts, and the pairs that prove what may not."""

    kept: NDArray[np.bool_]
    """True for prompts that may be selected, shape (n,)."""
    near_duplicates: list[NearDuplicate]
    """Removed prompts with the kept prompt that stands for each, in the order of removed ids."""
    contaminated: list[Contaminated]
    """In the order of training ids: at most one for each prompt, evaluation set and kind."""
    counts: dict[str, Any]
    """For the manifest, in plain JSON values: ``near_duplicates``, ``contaminated`` with ``total``,
    ``by_file`` and ``by_kind`` (numbers of training prompts), ``stock_phrases`` (by file, how many
    phrases were looked past) and ``thresholds``."""


def clean(
    prompts: PromptTable,
    vectors: Vectors | None = None,
    evaluations: Sequence[Evaluation] = (),
    *,
    near_duplicate_threshold: float | None = None,
    ngram: int = NGRAM,
    similarity_threshold: float | None = SIMILARITY,
) -> Hygiene:
    """Leave out prompts that evaluation sets hold, then near-duplicates among the others.

    The order of the rows changes nothing: ids decide which of two near-duplicates is kept.

    Parameters
    ----------
    prompts : PromptTable
        The pool, n prompts; texts are read one at a time.
    vectors : Vectors, optional
        Unit vectors of the n prompts; may be None if neither threshold needs them.
    evaluations : sequence of Evaluation
        Sets to decontaminate against.
    near_duplicate_threshold : float in (0, 1], optional
        Cosine from which two prompts are near-duplicates; None keeps them all.
    ngram : int >= 5, default 13
        Words in a row that count as a copy; see ``OverlapIndex``.
    similarity_threshold : float in (0, 1], optional
        Cosine from which a prompt counts as an evaluation prompt reworded; None, or an evaluation
        without vectors, looks at words only. Default 0.9.

    Raises
    ------
    SparftError
        If an option is out of range, an evaluation set is empty, vectors do not fit or are missing,
        or nothing would be left.
    """
    _check_thresholds(near_duplicate_threshold, similarity_threshold)
    _check_evaluations(evaluations)
    embedded = similarity_threshold is not None and any(e.vectors is not None for e in evaluations)
    _check_vectors(prompts, vectors, evaluations, embedded or near_duplicate_threshold is not None)
    indices = [OverlapIndex(evaluation.texts, ngram) for evaluation in evaluations]
    contaminated = list(_overlaps(prompts.texts, indices))
    if vectors is not None and similarity_threshold is not None:
        contaminated += _similar(vectors, evaluations, similarity_threshold)
    contaminated.sort(key=lambda found: (prompts.ids[found.position], *found[1:]))
    counts = _count(contaminated, evaluations)
    if counts["total"] == len(prompts):
        raise _nothing_left(counts)
    kept = np.ones(len(prompts), dtype=np.bool_)
    kept[[found.position for found in contaminated]] = False
    duplicates: list[NearDuplicate] = []
    if vectors is not None and near_duplicate_threshold is not None:
        order = np.argsort(np.array(prompts.ids), kind="stable").astype(np.int64)
        duplicates = near_duplicates(vectors, order[kept[order]], near_duplicate_threshold)
        kept[[found.removed for found in duplicates]] = False
    stock = {e.name: len(index.stock) for e, index in zip(evaluations, indices, strict=True)}
    thresholds = {
        "near_duplicate": near_duplicate_threshold,
        "ngram": ngram,
        "similarity": similarity_threshold,
    }
    return Hygiene(
        kept=kept,
        near_duplicates=duplicates,
        contaminated=contaminated,
        counts={
            "near_duplicates": len(duplicates),
            "contaminated": counts,
            "stock_phrases": stock,
            "thresholds": thresholds,
        },
    )


def _overlaps(texts: Iterable[str], indices: Sequence[OverlapIndex]) -> Iterator[Contaminated]:
    if not indices:
        return
    for position, text in enumerate(texts):
        for number, index in enumerate(indices):
            found = index.find(text)
            if found is not None:
                yield Contaminated(
                    position, number, found.prompt, NGRAM_KIND, found.score, found.shared
                )


def _similar(
    vectors: Vectors, evaluations: Sequence[Evaluation], threshold: float
) -> Iterator[Contaminated]:
    for number, evaluation in enumerate(evaluations):
        if evaluation.vectors is not None:
            for found in similar(vectors, evaluation.vectors, threshold):
                yield Contaminated(
                    found.position, number, found.prompt, SIMILAR_KIND, found.cosine, ""
                )


def _count(found: Sequence[Contaminated], evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Numbers of different training prompts."""

    def by(name: Callable[[Contaminated], str], names: Iterable[str]) -> dict[str, int]:
        counts = Counter(key for key, _ in {(name(each), each.position) for each in found})
        return {each: counts[each] for each in names}

    return {
        "total": len({each.position for each in found}),
        "by_file": by(
            lambda each: evaluations[each.evaluation].name, [e.name for e in evaluations]
        ),
        "by_kind": by(lambda each: each.kind, [NGRAM_KIND, SIMILAR_KIND]),
    }


def _check_thresholds(near_duplicate: float | None, similarity: float | None) -> None:
    if near_duplicate is not None:
        check_threshold("near_duplicate_threshold", near_duplicate)
    if similarity is not None:
        check_threshold("similarity_threshold", similarity)


def _check_evaluations(evaluations: Sequence[Evaluation]) -> None:
    for evaluation in evaluations:
        if not len(evaluation.texts):
            raise SparftError(
                f"{evaluation.name} has no prompts to decontaminate against; name an evaluation "
                "file that has some or leave it out."
            )
        if len(evaluation.rows) != len(evaluation.texts):
            raise SparftError(
                f"{evaluation.name} has {len(evaluation.texts)} prompts but "
                f"{len(evaluation.rows)} row numbers; give one for each prompt."
            )


def _check_vectors(
    prompts: PromptTable,
    vectors: Vectors | None,
    evaluations: Sequence[Evaluation],
    needed: bool,
) -> None:
    if vectors is None:
        if needed:
            raise SparftError(
                "cosine thresholds need the vectors of the prompts; give them, or set "
                "near_duplicate_threshold and similarity_threshold to null."
            )
        return
    if len(vectors) != len(prompts):
        raise SparftError(
            f"{prompts.source} has {len(prompts)} prompts but {len(vectors)} vectors; give one for "
            "each prompt."
        )
    for evaluation in evaluations:
        wanted = len(evaluation.texts), vectors.shape[1]
        if evaluation.vectors is not None and evaluation.vectors.shape != wanted:
            raise SparftError(
                f"the vectors of {evaluation.name} have shape {evaluation.vectors.shape} instead "
                f"of {wanted}; encode its prompts with the encoder of the training prompts."
            )


def _nothing_left(counts: dict[str, Any]) -> SparftError:
    # Of near-duplicates one is always kept, so only contamination can take everything.
    files = ", ".join(f"{name}: {count}" for name, count in counts["by_file"].items())
    return SparftError(
        f"all {counts['total']} prompts are contaminated ({files}); check that no training file is "
        "named for decontamination."
    )
