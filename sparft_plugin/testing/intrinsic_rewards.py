"""The contract of an intrinsic reward, as checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup
from sparft_plugin.testing.expect import Checked, expect, expect_dataclass, expect_refusal

DIMENSION = 8
Steps = list[list[MemoryGroup]]


@dataclass(frozen=True)
class Subject(Checked[IntrinsicReward]):
    """An intrinsic reward under check."""

    def make(self, encoder: str = "matrix") -> IntrinsicReward:
        """Make it with an empty memory."""
        return self.factory(encoder=encoder, **self.options)

    def written(self, history: Steps) -> IntrinsicReward:
        """Make it and write some steps."""
        memory = self.make()
        for groups in history:
            memory.write(groups)
        return memory


def check_intrinsic_reward(factory: Callable[..., IntrinsicReward], **options: Any) -> None:
    """Check that an intrinsic reward keeps the contract.

    It must score every rollout with finite terms that do not depend on the other groups of the
    step, change nothing by scoring, remember the same whatever the order of groups, continue
    exactly from its saved state, refuse those of another encoder, and report plain numbers.
    """
    for check in INTRINSIC_CHECKS:
        check(Subject(factory, options))


def steps(count: int, seed: int = 0) -> Steps:
    """Steps of groups of 1 to 6 rollouts; a prompt may come twice in a step."""
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(6, DIMENSION)).astype(np.float32)
    return [
        [
            MemoryGroup(
                f"prompt-{prompt}",
                queries[prompt],
                rng.normal(size=(size, DIMENSION)).astype(np.float32),
                rng.choice([0.0, 0.3, 1.0], size=size),
            )
            for prompt, size in zip(
                rng.integers(6, size=5), rng.integers(1, 7, size=5), strict=True
            )
        ]
        for _ in range(count)
    ]


def saved(memory: IntrinsicReward) -> str:
    """What is equal of equal memories: the header of the state, which has its fingerprint."""
    return str(memory.state_dict()["header"])


def totals(memory: IntrinsicReward, groups: list[MemoryGroup]) -> list[list[float]]:
    """Score groups and return the total of each rollout."""
    return [terms.total.tolist() for terms in memory.score(groups)]


def gives_one_finite_value_per_rollout(subject: Subject) -> None:
    """Exploit and explore in [0, 1], and some difference between rollouts."""
    *history, groups = steps(60)
    memory, name = subject.written(history), subject.name
    expect_dataclass(memory, IntrinsicReward, name)
    expect(isinstance(getattr(memory, "name", None), str), f"{name} must have a name.")
    scored = memory.score(groups)
    expect(len(scored) == len(groups), f"{name} gave {len(scored)} terms of {len(groups)} groups.")
    for terms, group in zip(scored, groups, strict=True):
        for part in ("exploit", "explore", "total"):
            values = getattr(terms, part)
            expect(
                values.shape == group.accuracies.shape and values.dtype == np.float64,
                f"{part} of {name} is {values.dtype} of shape {values.shape}; float64 of shape "
                f"{group.accuracies.shape} is due.",
            )
            expect(bool(np.isfinite(values).all()), f"{part} of {name} is not finite.")
            inside = part == "total" or (values.min() >= 0 and values.max() <= 1)
            expect(bool(inside), f"{part} of {name} leaves [0, 1]: {values.tolist()}.")
    spread = np.ptp(np.concatenate([terms.total for terms in scored]))
    expect(bool(spread > 0), f"{name} gives all rollouts the same after 59 steps.")


def scoring_reads_only(subject: Subject) -> None:
    """And what is written does not depend on it."""
    *history, groups = steps(4)
    memory, name = subject.written(history), subject.name
    before = saved(memory)
    expect(
        totals(memory, groups) == totals(memory, groups) and saved(memory) == before,
        f"{name} changes its memory when it scores.",
    )
    scoring = subject.make()
    for step in history:
        scoring.score(step)
        scoring.write(step)
    expect(saved(scoring) == before, f"{name} writes otherwise if it has scored before.")


def groups_do_not_see_their_neighbours(subject: Subject) -> None:
    """A group's terms are its own."""
    *history, groups = steps(60)
    memory = subject.written(history)
    together = totals(memory, groups)
    expect(
        together == [totals(memory, [group])[0] for group in groups]
        and together == totals(memory, groups[::-1])[::-1],
        f"the terms of {subject.name} depend on the other groups of the step, or their order.",
    )


def the_order_of_groups_is_not_remembered(subject: Subject) -> None:
    """Workers finish in any order."""
    history = [list({g.prompt_id: g for g in groups}.values()) for groups in steps(4)]
    backwards = [groups[::-1] for groups in history]
    expect(
        saved(subject.written(history)) == saved(subject.written(backwards)),
        f"{subject.name} remembers something else when groups come in another order.",
    )


def continues_exactly_from_its_state(subject: Subject) -> None:
    """A resumed run is the uninterrupted one; another encoder's state are refused."""
    history, name = steps(60), subject.name
    straight, resumed = subject.written(history[:52]), subject.make()
    resumed.load_state_dict(straight.state_dict())
    for groups in history[52:]:
        expect(
            totals(resumed, groups) == totals(straight, groups),
            f"{name} scores otherwise after it was saved and loaded.",
        )
        straight.write(groups)
        resumed.write(groups)
    expect(
        saved(resumed) == saved(straight) and resumed.metrics() == straight.metrics(),
        f"{name} goes on differently after it was saved and loaded.",
    )
    expect_refusal(
        lambda: subject.make("other").load_state_dict(straight.state_dict()),
        "encoder",
        f"{name} must refuse the memory of another encoder",
    )


def reports_plain_numbers(subject: Subject) -> None:
    """What is stored, and more if it likes."""
    metrics, name = subject.written(steps(2)).metrics(), subject.name
    wanted = {"success", "failure", "queries", "bytes"}
    expect(wanted <= set(metrics), f"{name} lacks the metrics {sorted(wanted - set(metrics))}.")
    for key, value in metrics.items():
        expect(
            "/" not in key and type(value) is float,
            f"the metric '{key}' of {name} must be a relative name with a float, not {value!r}.",
        )
    for key in ("success", "queries", "bytes"):
        expect(metrics[key] > 0, f"the metric '{key}' of {name} is 0 after two steps.")


INTRINSIC_CHECKS: tuple[Callable[[Subject], None], ...] = (
    gives_one_finite_value_per_rollout,
    scoring_reads_only,
    groups_do_not_see_their_neighbours,
    the_order_of_groups_is_not_remembered,
    continues_exactly_from_its_state,
    reports_plain_numbers,
)
"""What ``check_intrinsic_reward`` does, one by one."""
