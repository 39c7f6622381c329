"""The offending pairs as a file that people and programs can read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.files import whole_file
from sparft_plugin.reduction.hygiene.clean import Evaluation, Hygiene

LONGEST = 2000
"""Characters of a text that are written; the rest becomes ``...``."""
_DIGITS = 6


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
    ``ngram``). Texts are cut at ``LONGEST`` characters.

    Parameters
    ----------
    path : path
        The file to write, such as ``kept.pairs.jsonl``; an existing one is replaced.
    hygiene : Hygiene
        What ``clean`` found.
    prompts, evaluations
        What ``clean`` was given.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SparftError
        If the file cannot be written; an existing one is untouched then.
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
        evaluation = evaluations[found.evaluation]
        yield {
            "kind": found.kind,
            "score": round(found.score, _DIGITS),
            **_removed(prompts, found.position),
            "file": evaluation.name,
            "id": None,
            "row": int(evaluation.rows[found.prompt]),
            "text": _short(evaluation.texts[found.prompt]),
            "shared": _short(found.shared) or None,
        }
    for pair in hygiene.near_duplicates:
        yield {
            "kind": "near_duplicate",
            "score": round(pair.cosine, _DIGITS),
            **_removed(prompts, pair.removed),
            "file": None,
            "id": prompts.ids[pair.kept],
            "row": int(prompts.rows[pair.kept]),
            "text": _short(prompts.texts[pair.kept]),
            "shared": None,
        }


def _removed(prompts: PromptTable, position: int) -> dict[str, Any]:
    return {
        "removed_id": prompts.ids[position],
        "removed_row": int(prompts.rows[position]),
        "removed_text": _short(prompts.texts[position]),
    }


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
