"""Several curricula on one world, several seeds: figures with confidence bands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import Curriculum
from sparft_plugin.curriculum.wrappers.wrap import split, wrap
from sparft_plugin.errors import SparftError, unknown_name
from sparft_plugin.plugins import build, lookup, read_options
from sparft_plugin.simulate.learner import LEARNERS
from sparft_plugin.simulate.policy import POLICIES
from sparft_plugin.simulate.run import Setting, Trace, simulate

SCENARIOS: dict[str, Setting] = {**LEARNERS, **POLICIES}

NORMAL_95 = 1.96
BASELINE = "uniform"
GOAL = 0.9
"""Share of the baseline's rise in pass rate that the others must reach."""


@dataclass(frozen=True)
class Method:
    """A registered curriculum with its options, those of wrappers among them."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read ``NAME`` or ``NAME:OPTION=VALUE:OPTION=VALUE``, values as JSON or else as text.

        Raises
        ------
        SparftError
            If the name is unknown or an option has no value.
        """
        name, *pairs = text.split(":")
        lookup("curriculum", name)
        return cls(name, read_options(f"--methods {text}", pairs))

    def build(self) -> Curriculum:
        """Construct the curriculum in its wrappers, not yet bound to a pool.

        Raises
        ------
        SparftError
            If an option is unknown, missing or out of its range.
        """
        options, wrappers = split(self.options)
        return wrap(build("curriculum", self.name, options), wrappers)

    @property
    def label(self) -> str:
        """How the method is named on the command line."""
        return ":".join([self.name, *(f"{k}={json.dumps(v)}" for k, v in self.options.items())])


class Figure(NamedTuple):
    """A mean over seeds and half the width of its 95 % normal interval; 0 for a single seed."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Figure:
        """From one value per seed."""
        return cls(float(values.mean()), float(band(values)))


def band(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the width of the 95 % normal interval of means over the first axis."""
    seeds = len(values)
    if seeds == 1:
        return np.zeros(values.shape[1:])
    half: NDArray[np.float64] = NORMAL_95 * values.std(axis=0, ddof=1) / np.sqrt(seeds)
    return half


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods on one scenario; every method met the same worlds."""

    scenario: str
    setting: Setting
    learned: NDArray[np.bool_]
    """Arms that training can change, shape (arms,)."""
    runs: Mapping[str, Trace]
    """All seeds of each method by its label; the baseline is among them."""
    skipped: Mapping[str, str]
    """Why a method was left out, by its label."""

    @cached_property
    def goal(self) -> float:
        """Pass rate to be reached: the baseline's start and 90 % of its rise, means over seeds."""
        curve = self.runs[BASELINE].pass_rates.mean(axis=0)
        return float(curve[0] + GOAL * (curve[-1] - curve[0]))

    def prompts_to_goal(self, label: str) -> tuple[NDArray[np.float64], int]:
        """Prompts used until the goal, by seed, and how many seeds reached it.

        A seed that did not counts with all its prompts, which is a lower bound.
        """
        reached = self.runs[label].pass_rates >= self.goal
        steps = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1] - 1)
        return steps.astype(np.float64) * self.setting.batch_size, int(reached.any(axis=1).sum())

    def ranking(self) -> list[str]:
        """Labels, fewest prompts to the goal first, then highest final pass rate."""
        return sorted(
            self.runs,
            key=lambda label: (
                self.prompts_to_goal(label)[0].mean(),
                -self.runs[label].pass_rates[:, -1].mean(),
            ),
        )

    def against(self, label: str, other: str) -> Figure:
        """Prompts to the goal that a method needs more than another, paired by seed."""
        return Figure.of(self.prompts_to_goal(label)[0] - self.prompts_to_goal(other)[0])

    def better_than(self, label: str) -> list[str]:
        """Methods that need fewer prompts, by more than the 95 % interval of the difference."""
        gaps = {other: self.against(label, other) for other in self.ranking() if other != label}
        return [other for other, gap in gaps.items() if gap.mean - gap.half > 0]

    def figures(self, label: str) -> dict[str, Figure]:
        """What is told of a method, by name."""
        runs = self.runs[label]
        return {
            "prompts_to_goal": Figure.of(self.prompts_to_goal(label)[0]),
            "final_pass_rate": Figure.of(runs.pass_rates[:, -1]),
            "mean_pass_rate": Figure.of(runs.pass_rates.mean(axis=1)),
            "wasted_groups": Figure.of(runs.wasted.mean(axis=1)),
            "picks_of_arms_that_teach_nothing": Figure.of(
                runs.arm_shares[:, ~self.learned].sum(axis=1)
            ),
        }

    def as_json(self) -> dict[str, Any]:
        """All figures, JSON-able; curves are means over seeds with half widths."""
        return {
            "about": self.setting.about,
            "goal": self.goal,
            "batch_size": self.setting.batch_size,
            "ranking": self.ranking(),
            "better_than": {label: self.better_than(label) for label in self.runs},
            "skipped": dict(self.skipped),
            "methods": {label: self._method(label) for label in self.runs},
        }

    def _method(self, label: str) -> dict[str, Any]:
        runs = self.runs[label]
        found: dict[str, Any] = {k: v._asdict() for k, v in self.figures(label).items()}
        found["prompts_to_goal"]["seeds_that_reached_it"] = self.prompts_to_goal(label)[1]
        found["arm_shares"] = runs.arm_shares.mean(axis=0).tolist()
        for name, curves in (("pass_rate", runs.pass_rates), ("wasted", runs.wasted)):
            found[name] = {"mean": curves.mean(axis=0).tolist(), "half": band(curves).tolist()}
        return found


def compare(
    methods: Sequence[Method],
    name: str,
    setting: Setting,
    seeds: int,
    *,
    lenient: bool = False,
    progress: Callable[[str], None] = lambda label: None,
) -> Comparison:
    """Run every method, and the baseline, with seeds 0, 1, ... of a setting, called by a name.

    With ``lenient``, a method that cannot start because it lacks an option is left out with the
    reason; ``progress`` is told the label of each method before its runs.

    Raises
    ------
    SparftError
        If a method cannot start, or there are no seeds.
    """
    if seeds < 1:
        raise SparftError(f"--seeds={seeds} must be at least 1.")
    labelled = {method.label: method for method in methods}
    labelled.setdefault(BASELINE, Method(BASELINE))
    runs: dict[str, Trace] = {}
    skipped: dict[str, str] = {}
    for label, method in labelled.items():
        progress(label)
        try:
            traces = [_run(method, setting, seed) for seed in range(seeds)]
        except SparftError as error:
            if not lenient:
                raise
            skipped[label] = str(error)
        else:
            runs[label] = Trace(*map(np.stack, zip(*traces, strict=True)))
    return Comparison(name, setting, setting.world(0).learned, runs, skipped)


def _run(method: Method, setting: Setting, seed: int) -> Trace:
    world = setting.world(seed)
    return simulate(method.build().start(world.pool, seed), world, setting, seed)


def rank(scenario: str, methods: Sequence[str], seeds: int) -> dict[str, float]:
    """Mean area of methods in a scenario, best first: their order without a model.

    The area is the mean pass rate over a run, before training and after each step, minus that of
    uniform with the same seed; 0 for uniform.

    Parameters
    ----------
    scenario : str
        A name of ``SCENARIOS``.
    methods : sequence of str
        As ``Method.parse`` reads them; the keys of the answer.
    seeds : int >= 1
        Paired runs of each.

    Raises
    ------
    SparftError
        If a name or an option is wrong, or a method lacks an option.
    """
    parsed = {text: Method.parse(text) for text in methods}
    if scenario not in SCENARIOS:
        raise unknown_name("scenario", scenario, SCENARIOS)
    runs = compare(list(parsed.values()), scenario, SCENARIOS[scenario], seeds).runs
    base = runs[BASELINE].pass_rates.mean()
    areas = {text: float(runs[m.label].pass_rates.mean() - base) for text, m in parsed.items()}
    return dict(sorted(areas.items(), key=lambda pair: -pair[1]))
