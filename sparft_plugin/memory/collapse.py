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
        ranges = {"accuracy": (0, 1), "mean_tokens": (0, math.inf), "clipped_share": (0, 1)}
        for name, value in asdict(self).items():
            low, high = ranges.get(name, (-math.inf, math.inf))
            require(
                (value is None and name == "format_reward")
                or (math.isfinite(value) and low <= value <= high),
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
    steps: list[StepStats] = field(default_factory=list, init=False)
    best: Span | None = field(default=None, init=False)
    longest: Span | None = field(default=None, init=False)
    least_clipped: float = field(default=1.0, init=False)
    largest_format: float = field(default=0.0, init=False)
    degrees: dict[str, float] = field(init=False)
    active: dict[str, bool] = field(init=False)
    factor: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        check_whole("sparft.memory.collapse_window", self.window, 2)
        told = isinstance(self.fade, bool)
        require(told, f"sparft.memory.fade must be true or false, not {self.fade!r}.")
        self.degrees = dict.fromkeys(LIMITS, 0.0)
        self.active = dict.fromkeys(LIMITS, False)

    def observe(self, stats: StepStats) -> list[str]:
        """Take in a step; return a sentence for each episode that begins with it."""
        self.steps = [*self.steps, stats][-self.window :]
        begun = []
        if len(self.steps) == self.window:
            sentences = self._judge(self._span())
            for name, (begin, end) in LIMITS.items():
                was = self.active[name]
                self.active[name] = self.degrees[name] >= (end if was else begin)
                if self.active[name] and not was:
                    begun.append(sentences[name])
        if self.fade:
            change = -1 / self.window if any(self.active.values()) else 1 / self.window
            self.factor = min(1.0, max(0.0, self.factor + change))
        return begun

    def metrics(self) -> dict[str, float]:
        """Degree of each failure, ``episodes`` that are under way, and ``factor``."""
        episodes = float(sum(self.active.values()))
        return {**self.degrees, "episodes": episodes, "factor": self.factor}

    def _span(self) -> Span:
        accuracies = [step.accuracy for step in self.steps]
        formats = [step.format_reward for step in self.steps]
        known = [value for value in formats if value is not None]
        return Span(
            accuracy=float(np.mean(accuracies)),
            noise=float(np.var(accuracies, ddof=1) / self.window),
            mean_tokens=float(np.mean([step.mean_tokens for step in self.steps])),
            clipped_share=float(np.mean([step.clipped_share for step in self.steps])),
            format_reward=float(np.mean(known)) if len(known) == self.window else None,
        )

    def _judge(self, now: Span) -> dict[str, str]:
        """Set the degrees of the last steps, and return what to say of each that is not 0."""
        if self.best is None or now.accuracy > self.best.accuracy:
            self.best = now
        if self.longest is None or now.mean_tokens > self.longest.mean_tokens:
            self.longest = now
        self.least_clipped = min(self.least_clipped, now.clipped_share)
        best, longest, over = self.best, self.longest, f"over the last {self.window} steps"
        self.degrees, sentences = dict.fromkeys(LIMITS, 0.0), {}
        if now.format_reward is not None:
            self.largest_format = max(self.largest_format, abs(now.format_reward))
        if now.format_reward is not None and best.format_reward is not None:
            rise = now.format_reward - best.format_reward
            doubt = CLEAR_LOSS * math.sqrt(2 * max(best.noise, now.noise))
            if (
                rise >= FORMAT_RISE * self.largest_format > 0
                and best.accuracy - now.accuracy > doubt
            ):
                self.degrees["reward_mode"] = 1 - now.accuracy / best.accuracy
                sentences["reward_mode"] = (
                    f"reward-mode collapse: {over} accuracy was {now.accuracy:.3f}, "
                    f"{best.accuracy:.3f} at the best, while the format reward rose to "
                    f"{now.format_reward:.3g} from {best.format_reward:.3g}; weigh correct answers "
                    "more than format."
                )
        if now.accuracy <= longest.accuracy and longest.mean_tokens > 0:
            self.degrees["short"] = 1 - now.mean_tokens / longest.mean_tokens
            sentences["short"] = (
                f"length collapse: {over} responses had {now.mean_tokens:.0f} tokens, "
                f"{longest.mean_tokens:.0f} at the most, and accuracy did not gain; look at some, "
                "and lower sparft.memory.exploit_weight or the learning rate."
            )
        if now.clipped_share >= 2 * self.least_clipped:
            self.degrees["limit"] = now.clipped_share
            sentences["limit"] = (
                f"length collapse: {over} {now.clipped_share:.0%} of the responses ran to the "
                f"limit, {self.least_clipped:.0%} did at the least; look at some, and lower "
                "sparft.memory.explore_weight or the learning rate."
            )
        return sentences

    def state_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        state = {"version": STATE_VERSION, **asdict(self)}
        del state["fade"]
        return state

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
        for key in ("degrees", "active"):
            check_keys(f"{key} of the collapse watch", state[key], LIMITS)
        fresh = {
            **state,
            "steps": [StepStats(**step) for step in state["steps"]],
            "best": state["best"] and Span(**state["best"]),
            "longest": state["longest"] and Span(**state["longest"]),
            "degrees": dict(state["degrees"]),
            "active": dict(state["active"]),
            "factor": state["factor"] if self.fade else 1.0,
        }
        del fresh["version"]
        vars(self).update(fresh)
