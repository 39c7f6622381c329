"""One training row in, its checked values out; every error names the file, the row and the key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from sparft_plugin.errors import SparftError


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, non-ASCII as is, null fields left out.

    A SparftError says if JSON cannot hold it.
    """
    return _encode(_plain(value))


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


class Place(NamedTuple):
    """Where a row comes from; rows count from 0 in each file."""

    file: str
    row: int

    def error(self, key: str, problem: str) -> SparftError:
        """Build the error for one value of this row."""
        return SparftError(f"{self.file}, row {self.row}, key '{key}': {problem}")


def read_messages(value: Any, place: Place, key: str) -> list[Mapping[str, Any]]:
    """Check that a value is a non-empty list of chat messages and return it."""
    messages = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(messages, (list, tuple)) or not messages:
        shape = '[{"role": "user", "content": "..."}]'
        raise place.error(
            key, f"must be a non-empty list of messages such as {shape}, not {_kind(value)}."
        )
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise place.error(key, "every message must be a dict with a string 'role'.")
        if not isinstance(message.get("content"), (str, list, tuple, np.ndarray)):
            raise place.error(
                key, "every message must have a 'content' that is a string or a list of parts."
            )
    return list(messages)


def read_user_text(messages: Sequence[Mapping[str, Any]], place: Place, key: str) -> str:
    """Join the text of the user's messages, one per line; refuse white space alone."""
    contents = [message["content"] for message in messages if message["role"] == "user"]
    text = "\n".join(_content_text(content, place, key) for content in contents)
    if not text.strip():
        raise place.error(key, "no text in any message of role 'user'; fill it or drop the row.")
    return text


def read_data_source(value: Any, place: Place) -> str:
    """Check that a data source is a string and return it."""
    if not isinstance(value, str):
        raise place.error("data_source", f"must be a string, not {_kind(value)}.")
    return value


def read_ground_truth(value: Any, place: Place) -> str:
    """Canonical JSON of a reward model's ground truth; refuse one that is missing."""
    if not isinstance(value, Mapping):
        raise place.error(
            "reward_model", f"must be a dict with a 'ground_truth', not {_kind(value)}."
        )
    key = "reward_model.ground_truth"
    if value.get("ground_truth") is None:
        raise place.error(key, "is missing; give the answer or drop the row.")
    try:
        return canonical_json(value["ground_truth"])
    except SparftError as error:
        raise place.error(key, str(error)) from error


def read_label(value: Any, place: Place, key: str) -> float:
    """Check that a difficulty label is a finite number and return it."""
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise place.error(key, f"must be a number, not {_kind(value)}; fill it or drop the row.")
    if not math.isfinite(value):
        raise place.error(key, f"must be finite, not {value}; fill it or drop the row.")
    return float(value)


def _content_text(content: Any, place: Place, key: str) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        if not isinstance(part, (str, Mapping)):
            raise place.error(key, f"a content part must be a dict, not {_kind(part)}.")
        text = part if isinstance(part, str) else part.get("text")
        texts.append(text if isinstance(text, str) else "")
    return "".join(texts)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, (list, tuple, np.ndarray, Mapping)) and len(value) == 0:
        return f"an empty {type(value).__name__}"
    return type(value).__name__


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        # To JSON 2 and 2.0 are one number, and a column of fractions makes one of the other.
        return int(value) if value.is_integer() else value
    if isinstance(value, (dict, Mapping)):  # the check of a dict alone is fifteen times quicker
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Decimal):
        return str(value)
    raise SparftError(f"holds a {type(value).__name__}, which JSON cannot; use text or numbers.")
