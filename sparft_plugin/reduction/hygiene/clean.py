"""Which prompts of a pool may stay, and the file of pairs that proves what may not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.files import whole_file
from sparft_plugin.reduction.hygiene.near import NearDuplicate, near_duplicates, similar
from sparft_plugin.reduction.hygiene.overlap import NGRAM, OverlapIndex

SIMILARITY = 0.9
"""Cosine at which a training prompt counts as an evaluation prompt reworded.

With all-MiniLM-L6-v2, of GSM8K's 7,473 training questions 108 / 12 / 0 / 0 reach 0.80 / 0.85 / 0.90
/ 0.95 with a test question, and those at 0.85 share no more than a topic. Of 400 test questions
with other numbers 98 / 88 / 52 % are found at 0.85 / 0.90 / 0.95, with other names and numbers
63 / 41 / 18 %; together with 13-grams 99 / 95 / 85 % and 79 / 72 / 66 %. The encoder reads the
first 256 word pieces only, so long prompts with a common beginning look more alike than they are.
"""
NGRAM_KIND, SIMILAR_KIND = "ngram", "similar"
LONGEST = 2000
"""Characters of a text that ``write_pairs`` writes; the rest becomes ``...``."""


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
        """Read an evaluation set, of which only the texts matter; equal ones count once."""
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
    """False for prompts that must not be selected, shape (n,)."""
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
    vectors: NDArray[np.float32] | None = None,
    evaluations: Sequence[Evaluation] = (),
    *,
    among: NDArray[np.int64] | None = None,
    near_duplicate_threshold: float | None = None,
) -> Hygiene:
    """Leave out prompts that evaluation sets hold, then near-duplicates among the others.

    An evaluation set holds a prompt that shares 13 words in a row with one of its own, or whose
    cosine to one is at least ``SIMILARITY``; without vectors of the set, words alone tell. The
    order of the rows changes nothing: ids decide which of two near-duplicates is kept. A
    SparftError says if vectors are missing or do not fit, or nothing would be left.

    Parameters
    ----------
    prompts : PromptTable
        n prompts; texts are read one at a time.
    vectors : ndarray of float32, shape (m, d), optional
        Unit vectors of the prompts that are looked at, in the order of their sorted ids, possibly a
        memory map; may be None if no cosine is asked for.
    evaluations : sequence of Evaluation
        Sets to decontaminate against.
    among : ndarray of int64, shape (m,), optional
        Positions of the prompts that are looked at, by their sorted ids; None is all.
    near_duplicate_threshold : float in (0, 1], optional
        Cosine from which two prompts are near-duplicates; None keeps them all.
    """
    near = near_duplicate_threshold
    by_id = np.argsort(np.array(prompts.ids), kind="stable") if among is None else among
    _check_evaluations(evaluations, vectors)
    embedded = any(each.vectors is not None for each in evaluations)
    _check_vectors(prompts, vectors, len(by_id), embedded or near is not None)
    indices = [OverlapIndex(evaluation.texts) for evaluation in evaluations]
    contaminated = list(_overlaps(prompts.texts, by_id, indices)) if indices else []
    for number, evaluation in enumerate(evaluations):
        if vectors is not None and evaluation.vectors is not None:
            contaminated += [
                Contaminated(int(by_id[row]), number, prompt, SIMILAR_KIND, cosine, "")
                for row, prompt, cosine in similar(vectors, evaluation.vectors, SIMILARITY)
            ]
    contaminated.sort(key=lambda found: (prompts.ids[found.position], *found[1:]))
    counts = _count(contaminated, evaluations)
    if counts["total"] == len(by_id):
        # Of near-duplicates one is always kept, so only contamination can take everything.
        files = ", ".join(f"{name}: {count}" for name, count in counts["by_file"].items())
        raise SparftError(
            f"all {len(by_id)} prompts are contaminated ({files}); check that no training file "
            "is named for decontamination."
        )
    kept = np.ones(len(prompts), dtype=np.bool_)
    kept[[found.position for found in contaminated]] = False
    duplicates: list[NearDuplicate] = []
    if vectors is not None and near is not None:
        duplicates = [
            NearDuplicate(int(by_id[removed]), int(by_id[stays]), cosine)
            for removed, stays, cosine in near_duplicates(vectors, near, kept[by_id])
        ]
        kept[[found.removed for found in duplicates]] = False
    told = {
        "near_duplicates": len(duplicates),
        "contaminated": counts,
        "stock_phrases": {e.name: len(i.stock) for e, i in zip(evaluations, indices, strict=True)},
        "thresholds": {"near_duplicate": near, "ngram": NGRAM, "similarity": SIMILARITY},
    }
    return Hygiene(kept, duplicates, contaminated, told)


def _overlaps(
    texts: Sequence[str], by_id: NDArray[np.int64], indices: Sequence[OverlapIndex]
) -> Iterator[Contaminated]:
    for position in by_id.tolist():
        text = texts[position]
        for number, index in enumerate(indices):
            if (found := index.find(text)) is not None:
                prompt, score, shared = found
                yield Contaminated(position, number, prompt, NGRAM_KIND, score, shared)


def _count(found: Sequence[Contaminated], evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Numbers of different training prompts."""

    def by(name: Callable[[Contaminated], str], names: Iterable[str]) -> dict[str, int]:
        counts = Counter(key for key, _ in {(name(each), each.position) for each in found})
        return {each: counts[each] for each in names}

    names = [evaluation.name for evaluation in evaluations]
    return {
        "total": len({each.position for each in found}),
        "by_file": by(lambda each: names[each.evaluation], names),
        "by_kind": by(lambda each: each.kind, [NGRAM_KIND, SIMILAR_KIND]),
    }


def _check_evaluations(
    evaluations: Sequence[Evaluation], vectors: NDArray[np.float32] | None
) -> None:
    for each in evaluations:
        name, texts, rows, own = each.name, each.texts, each.rows, each.vectors
        if not len(texts):
            raise SparftError(
                f"{name} has no prompts to decontaminate against; name an evaluation file that has "
                "some or leave it out."
            )
        if len(rows) != len(texts):
            raise SparftError(
                f"{name} has {len(texts)} prompts but {len(rows)} row numbers; give one for each "
                "prompt."
            )
        wanted = None if vectors is None else (len(texts), vectors.shape[1])
        if own is not None and wanted is not None and own.shape != wanted:
            raise SparftError(
                f"the vectors of {name} have shape {own.shape} instead of {wanted}; encode its "
                "prompts with the encoder of the training prompts."
            )


def _check_vectors(
    prompts: PromptTable, vectors: NDArray[np.float32] | None, rows: int, needed: bool
) -> None:
    if vectors is None and needed:
        raise SparftError(
            "cosines need the vectors of the prompts; give them, or neither "
            "near_duplicate_threshold nor evaluations with vectors."
        )
    if vectors is not None and len(vectors) != rows:
        raise SparftError(
            f"{prompts.source} has {rows} prompts but {len(vectors)} vectors; give one for each "
            "prompt."
        )


def write_pairs(
    path: Path | str,
    hygiene: Hygiene,
    prompts: PromptTable,
    evaluations: Sequence[Evaluation] = (),
) -> Path:
    """Write one JSON object a line for each offending pair; the file appears whole or not at all.

    Contaminated prompts come first, then near-duplicates, each in the order of removed ids. Keys:
    ``kind`` (``ngram``, ``similar`` or ``near_duplicate``), ``score`` (share of n-grams or cosine,
    6 digits), ``removed_id``, ``removed_row``, ``removed_text``; then the other prompt of the pair:
    ``file`` (null for a near-duplicate, which lies in the pool), ``id`` (null in an evaluation
    file), ``row``, ``text``; and ``shared``, the longest run of shared words (null but for
    ``ngram``). Texts are cut at ``LONGEST`` characters. Returns the path. If it cannot be written,
    a SparftError says so and an existing file is untouched.
    """
    target = Path(path)
    try:
        # Half a surrogate pair is no UTF-8; the backslash escape that replaces it is valid JSON.
        with (
            whole_file(target) as temporary,
            temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
        ):
            for pair in _pairs(hygiene, prompts, evaluations):
                file.write(json.dumps(pair, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as error:
        raise SparftError(
            f"{target} cannot be written ({error}); make room or choose another path."
        ) from error
    return target


def _pairs(
    hygiene: Hygiene, prompts: PromptTable, evaluations: Sequence[Evaluation]
) -> Iterator[dict[str, Any]]:
    for found in hygiene.contaminated:
        other = evaluations[found.evaluation]
        removed = _prompt(prompts, found.position)
        place = {"file": other.name, "id": None, "row": int(other.rows[found.prompt])}
        text = {"text": _short(other.texts[found.prompt]), "shared": _short(found.shared) or None}
        yield {"kind": found.kind, "score": round(found.score, 6), **removed, **place, **text}
    for position, kept, cosine in hygiene.near_duplicates:
        removed, other_one = _prompt(prompts, position), _prompt(prompts, kept, "")
        score = {"kind": "near_duplicate", "score": round(cosine, 6)}
        yield {**score, **removed, "file": None, **other_one, "shared": None}


def _prompt(prompts: PromptTable, position: int, prefix: str = "removed_") -> dict[str, Any]:
    return {
        f"{prefix}id": prompts.ids[position],
        f"{prefix}row": int(prompts.rows[position]),
        f"{prefix}text": _short(prompts.texts[position]),
    }


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
