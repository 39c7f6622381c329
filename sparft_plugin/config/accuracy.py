"""How right a response was, from what a recipe's reward function tells of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparft_plugin.errors import SparftError

THRESHOLD = re.compile(r"score\s*(>=|>)\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)")
NAMED = re.compile(r"key:(\S+)")
FORMS = "score>NUMBER, score>=NUMBER or key:NAME"
MEND = (
    "return a dict with 'score' and with 'acc' between 0 and 1, or say how accuracy follows: "
    "\"sparft.accuracy='score>0'\", \"sparft.accuracy='score>=0.5'\" or sparft.accuracy=key:NAME"
)


@dataclass(frozen=True)
class AccuracyRule:
    """``sparft.accuracy``: how accuracy in [0, 1] follows from score and extras of a rollout.

    Parameters
    ----------
    rule : str or None, default None
        ``score>NUMBER`` or ``score>=NUMBER``: 1 where it holds, else 0. ``key:NAME``: what the
        reward function returns under that key. None: its ``acc``, or where it returns none the
        score itself, if that is in [0, 1]; a score outside is refused, because nobody can tell
        what it means.

    Raises
    ------
    SparftError
        If the rule has none of these forms.
    """

    rule: str | None = None

    def __post_init__(self) -> None:
        known = isinstance(self.rule, str) and (
            THRESHOLD.fullmatch(self.rule) or NAMED.fullmatch(self.rule)
        )
        if self.rule is not None and not known:
            raise SparftError(f"sparft.accuracy={self.rule!r} has none of the forms {FORMS}.")

    def read(self, extra: Mapping[str, Any], score: Any) -> tuple[float, str]:
        """Return the accuracy of a rollout, and what it was read from.

        ``extra`` is what the reward function returned beside the score, the outcome reward. If the
        score is not finite, or the accuracy missing or no number in [0, 1], it is a SparftError.
        """
        score = _finite("score", score)
        if self.rule is not None and (threshold := THRESHOLD.fullmatch(self.rule)):
            bound = float(threshold[2])
            return float(score >= bound if threshold[1] == ">=" else score > bound), self.rule
        key = "acc" if self.rule is None else self.rule.partition(":")[2]
        if key in extra:
            accuracy = _finite(key, extra[key])
        elif self.rule is None:
            key, accuracy = "score", score
        else:
            raise SparftError(f"the reward function returned no '{key}', which {self} reads.")
        if not 0.0 <= accuracy <= 1.0:
            raise SparftError(
                f"the reward function gave {key}={accuracy:g}, which is no accuracy; {MEND}."
            )
        return accuracy, key

    def __str__(self) -> str:
        return f"sparft.accuracy={self.rule}"


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise SparftError(
            f"the reward function gave {name}={value!r}, which is no number; {MEND}."
        ) from error
    if not math.isfinite(number):
        raise SparftError(f"the reward function gave {name}={number}, which is no score; {MEND}.")
    return number
