"""What a recipe's reward function must tell of a training rollout, or be named for not telling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

MEND = "return a dict with 'score' and with 'acc' between 0 and 1"


def raw_accuracy(extra: Mapping[str, Any], score: Any) -> float:
    """Return the reward function's ``acc``, or its score where it reports none.

    verl's own managers record the bare number that a reward function returns as ``acc``.

    Raises
    ------
    SparftError
        If the score is not finite, or the accuracy is not a number in [0, 1].
    """
    if not math.isfinite(_number("score", score)):
        raise SparftError(f"the reward function gave the score {score}; {MEND}.")
    if "acc" not in extra:
        if not 0.0 <= float(score) <= 1.0:
            raise SparftError(
                f"the reward function gave the score {score} and no 'acc', so nobody can tell "
                f"how right the response was; {MEND}."
            )
        return float(score)
    accuracy = _number("acc", extra["acc"])
    if not 0.0 <= accuracy <= 1.0:
        raise SparftError(f"the reward function gave accuracy {accuracy}; {MEND}.")
    return accuracy


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SparftError(
            f"the reward function gave {name}={value!r}, which is no number; {MEND}."
        ) from error


class SameKeys:
    """Holds a reward function to the keys of the first rollout that a process saw.

    verl's default trainer keeps each rollout's own keys, so only ``acc`` must be there always or
    never: else some groups would be judged by accuracy and some by score. Its legacy trainer
    stacks every key over a batch and fails, or drops keys, where they differ.

    Parameters
    ----------
    every_key : bool
        Whether all keys must be the same, as for the legacy trainer, or only ``acc``.
    """

    def __init__(self, every_key: bool) -> None:
        self._every_key = every_key
        self._first: frozenset[str] | None = None

    def check(self, extra: Mapping[str, Any]) -> None:
        """Compare with the first rollout's.

        Raises
        ------
        SparftError
            Naming the keys that only one of the two has.
        """
        keys = frozenset(extra)
        if not self._every_key:
            keys &= {"acc"}
        if self._first is None:
            self._first = keys
        if keys != self._first:
            differ = ", ".join(f"'{key}'" for key in sorted(keys ^ self._first))
            raise SparftError(
                f"the reward function returned {differ} for some responses and not for others; "
                "return the same keys for every response."
            )


def check_embedding(embedding: NDArray[np.float32], encoder: str, text: str) -> None:
    """Refuse an embedding that has no direction.

    Raises
    ------
    SparftError
        Naming the encoder and the text if a number is not finite or all are zero.
    """
    finite = bool(np.isfinite(embedding).all())
    if finite and embedding.any():
        return
    fault = "zero" if finite else "not finite"
    start = repr(text if len(text) <= 40 else text[:40] + "...")
    raise SparftError(
        f"the encoder {encoder} gave the response {start} an embedding that is {fault}; use "
        "another sparft.memory.encoder."
    )
