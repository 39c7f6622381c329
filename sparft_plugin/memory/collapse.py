"""Watch a run for the two collapses of small models: of the reward's mode, and of the length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sparft_plugin.errors import require
from sparft_plugin.memory.archive import check_keys
from sparft_plugin.options import check_whole

STATE_VERSION = 1
LIMITS = {"reward_mode": (0.5, 0.25), "short": (0.8, 0.6), "limit": (0.5, 0.25)}
"""The degree at which an episode begins, and below which it ends."""
FORMAT_RISE = 0.1
CLEAR_LOSS = 4.0


@dataclass(frozen=True)
class StepStats:
    """What the watch is told of one step, over all its responses.

    A value that is not finite or out of its range is a SparftError.
    """

    accuracy: float
    """Mean raw accuracy, in [0, 1]."""
    mean_tokens: float
    """Mean length of a response, at least 0."""
    clipped_share: float
    """Share of the responses that ran to the length limit, in [0, 1]."""
    format_reward: float | None = None
    """Mean format reward, on any scale; None where the reward function reports none."""

    def __post_init__(self) -> None:
        most = {"accuracy": 1.0, "mean_tokens": math.inf, "clipped_share": 1.0}
        for name, value in asdict(self).items():
            if value is None and name == "format_reward":
                continue
            fits = name not in most or 0 <= value <= most[name]
            require(
                math.isfinite(value) and fits,
                f"{name}={value!r} of a step is not finite or out of its range.",
            )


@dataclass(frozen=True)
class Span:
    """Means of the last steps; ``noise`` is the squared standard error of the accuracy."""

    accuracy: float
    noise: float
    mean_tokens: float
    clipped_share: float
    format_reward: float | None


@dataclass(eq=False)
class CollapseWatch:
    """Compare the last steps with the best the run has seen.

    Le et al. 2025, https://arxiv.org/abs/2504.02273, see small models fail in two ways: they
    learn to please the format reward and forget the answers, or their responses shrink to nothing
    or run to the limit. The paper gives no test; these are ours. A value is the mean over the last
    `window` steps, and each failure has a degree in [0, 1]:

    - ``reward_mode``: the share lost of the best accuracy so far, if the loss is more than four
      times its standard error (the best of many means is high by chance) and the format reward
      stands higher than it did at that best, by at least a tenth of its largest size so far.
      Without the rise a lower accuracy may only mean harder prompts, and is not counted.
    - ``short``: the share lost of the greatest length so far, if accuracy is not higher than it
      was at that length. A model that learns to be brief and right is not counted.
    - ``limit``: the share of responses that run to the limit, if it is at least twice the smallest
      such share so far. A limit too small from the start is not counted.

    An episode begins at a degree of 0.5, 0.8 and 0.5, and is told once; it ends below 0.25, 0.6 and
    0.25.

    Parameters
    ----------
    window : int >= 2, default 20
        Number of steps in a mean; nothing is said before as many have passed.
    fade : bool, default False
        Whether the intrinsic reward is faded out during an episode: `factor` goes to 0 in `window`
        equal steps, and back to 1 once no episode is left.

    Attributes
    ----------
    factor : float in [0, 1]
        What the intrinsic reward is to be multiplied by; always 1 unless `fade`.
    """

    window: int = 20
    fade: bool = False
    factor: float = field(default=1.0, init=False)
    _steps: list[StepStats] = field(default_factory=list, init=False)
    _best: Span | None = field(default=None, init=False)
    _longest: Span | None = field(default=None, init=False)
    _least_clipped: float = field(default=1.0, init=False)
    _largest_format: float = field(default=0.0, init=False)
    _degrees: dict[str, float] = field(init=False)
    _active: dict[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        check_whole("sparft.memory.collapse_window", self.window, 2)
        told = isinstance(self.fade, bool)
        require(told, f"sparft.memory.fade must be true or false, not {self.fade!r}.")
        self._degrees = dict.fromkeys(LIMITS, 0.0)
        self._active = dict.fromkeys(LIMITS, False)

    def observe(self, stats: StepStats) -> list[str]:
        """Take in a step; return a sentence for each episode that begins with it."""
        self._steps = [*self._steps, stats][-self.window :]
        begun = []
        if len(self._steps) == self.window:
            span = self._span()
            self._remember(span)
            self._degrees = {name: self._degree(name, span) for name in LIMITS}
            begun = [self._sentence(name, span) for name in LIMITS if self._turn(name)]
        if self.fade:
            change = -1 / self.window if any(self._active.values()) else 1 / self.window
            self.factor = min(1.0, max(0.0, self.factor + change))
        return begun

    def metrics(self) -> dict[str, float]:
        """Degree of each failure, ``episodes`` that are under way, and ``factor``."""
        episodes = float(sum(self._active.values()))
        return {**self._degrees, "episodes": episodes, "factor": self.factor}

    def _span(self) -> Span:
        accuracies = [step.accuracy for step in self._steps]
        formats = [step.format_reward for step in self._steps]
        known = [value for value in formats if value is not None]
        return Span(
            accuracy=float(np.mean(accuracies)),
            noise=float(np.var(accuracies, ddof=1) / self.window),
            mean_tokens=float(np.mean([step.mean_tokens for step in self._steps])),
            clipped_share=float(np.mean([step.clipped_share for step in self._steps])),
            format_reward=float(np.mean(known)) if len(known) == self.window else None,
        )

    def _remember(self, span: Span) -> None:
        if self._best is None or span.accuracy > self._best.accuracy:
            self._best = span
        if self._longest is None or span.mean_tokens > self._longest.mean_tokens:
            self._longest = span
        self._least_clipped = min(self._least_clipped, span.clipped_share)
        if span.format_reward is not None:
            self._largest_format = max(self._largest_format, abs(span.format_reward))

    def _degree(self, name: str, span: Span) -> float:
        best, longest = self._best, self._longest
        assert best is not None
        assert longest is not None
        if name == "limit":
            rose = span.clipped_share >= 2 * self._least_clipped
            return span.clipped_share if rose else 0.0
        if name == "short":
            gained = span.accuracy > longest.accuracy
            return 0.0 if gained else _lost(span.mean_tokens, longest.mean_tokens)
        if span.format_reward is None or best.format_reward is None:
            return 0.0
        rose = span.format_reward - best.format_reward >= FORMAT_RISE * self._largest_format > 0
        clear = best.accuracy - span.accuracy > CLEAR_LOSS * math.sqrt(
            2 * max(best.noise, span.noise)
        )
        return _lost(span.accuracy, best.accuracy) if rose and clear else 0.0

    def _turn(self, name: str) -> bool:
        """Begin or end an episode; True if one begins."""
        begin, end = LIMITS[name]
        was, degree = self._active[name], self._degrees[name]
        self._active[name] = degree >= (end if was else begin)
        return self._active[name] and not was

    def _sentence(self, name: str, span: Span) -> str:
        assert self._best is not None
        assert self._longest is not None
        over = f"over the last {self.window} steps"
        if name == "limit":
            return (
                f"length collapse: {over} {span.clipped_share:.0%} of the responses ran to the "
                f"limit, {self._least_clipped:.0%} did at the least; look at some, and lower "
                "sparft.memory.explore_weight or the learning rate."
            )
        if name == "short":
            return (
                f"length collapse: {over} responses had {span.mean_tokens:.0f} tokens, "
                f"{self._longest.mean_tokens:.0f} at the most, and accuracy did not gain; look at "
                "some, and lower sparft.memory.exploit_weight or the learning rate."
            )
        return (
            f"reward-mode collapse: {over} accuracy was {span.accuracy:.3f}, "
            f"{self._best.accuracy:.3f} at the best, while the format reward rose to "
            f"{span.format_reward:.3g} from {self._best.format_reward:.3g}; weigh correct answers "
            "more than format."
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "version": STATE_VERSION,
            "window": self.window,
            "steps": [asdict(step) for step in self._steps],
            "best": None if self._best is None else asdict(self._best),
            "longest": None if self._longest is None else asdict(self._longest),
            "least_clipped": self._least_clipped,
            "largest_format": self._largest_format,
            "degrees": dict(self._degrees),
            "active": dict(self._active),
            "factor": self.factor,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `state_dict`, of which `fade` is no part.

        If keys are missing or unknown, or the version or window is another, it is a SparftError and
        nothing has changed.
        """
        check_keys("the state of the collapse watch", state, self.state_dict())
        for key, own in (("version", STATE_VERSION), ("window", self.window)):
            require(
                state[key] == own,
                f"the state of the collapse watch has {key}={state[key]!r}, this run has {own!r}; "
                "set it back, or start without the state.",
            )
        steps = [StepStats(**step) for step in state["steps"]]
        spans = [state[key] and Span(**state[key]) for key in ("best", "longest")]
        for key in ("degrees", "active"):
            check_keys(f"{key} of the collapse watch", state[key], LIMITS)
        self._steps, (self._best, self._longest) = steps, spans
        self._least_clipped = float(state["least_clipped"])
        self._largest_format = float(state["largest_format"])
        self._degrees = {name: float(state["degrees"][name]) for name in LIMITS}
        self._active = {name: bool(state["active"][name]) for name in LIMITS}
        self.factor = float(state["factor"]) if self.fade else 1.0


def _lost(now: float, best: float) -> float:
    return max(0.0, 1 - now / best) if best > 0 else 0.0
