"""Which of the trainer's reward functions is accuracy, and how it follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.config.accuracy import NAMED, AccuracyRule
from sparft_plugin.errors import SparftError, unknown_name

FORMATS = ("format", "format_reward")
"""Names of a reward function whose fall the collapse watch looks at."""


class Accuracy:
    """Reads raw accuracy from the column of one reward function.

    ``functions`` are named in the order of their columns; ``name`` is the trainer's argument
    ``accuracy``, None for the first of them; ``rule`` is ``sparft.accuracy``: a threshold on that
    function's reward, or ``key:NAME`` of a function.

    Raises
    ------
    SparftError
        If there is no such function, or two were named.
    """

    def __init__(self, functions: Sequence[str], name: str | None, rule: str | None) -> None:
        self.functions = list(functions)
        named = NAMED.fullmatch(rule) if rule else None
        if named and name is not None:
            raise SparftError(
                f"accuracy={name!r} and sparft.accuracy={rule} both name a reward function; give "
                "one of them."
            )
        name = named[1] if named else name
        if name is not None and name not in self.functions:
            raise unknown_name("reward function of accuracy=", name, self.functions)
        self.column = 0 if name is None else self.functions.index(name)
        self.rule = None if named or rule is None else AccuracyRule(rule)

    @property
    def source(self) -> str:
        """What accuracies are read from, for messages."""
        name = self.functions[self.column]
        return name if self.rule is None else f"{name} by {self.rule.rule}"

    def read(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Accuracies of n rollouts, shape (n,), from their rewards by function, (n, functions).

        NaN where the function returned None. One that is no accuracy in [0, 1] is a SparftError.
        """
        found = values[:, self.column]
        if self.rule is not None:
            rule = self.rule
            return np.array([x if np.isnan(x) else rule.read({}, x)[0] for x in found.tolist()])
        outside = found[(found < 0) | (found > 1)]
        if len(outside):
            raise SparftError(
                f"the reward function '{self.functions[self.column]}' gave {outside[0]:g}, which "
                "is no accuracy between 0 and 1; name the one that is with accuracy=NAME (of "
                f"{', '.join(self.functions)}), or say how accuracy follows with "
                "sparft.accuracy: 'score>0' or 'score>=0.5'."
            )
        return found

    def formats(self, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Rewards for format, shape (n,); None where no function of `FORMATS` gave them all."""
        for column, name in enumerate(self.functions):
            if name in FORMATS and not np.isnan(values[:, column]).any():
                return values[:, column]
        return None
