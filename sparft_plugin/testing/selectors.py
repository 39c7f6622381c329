"""The contract of a selector, as checks."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sparft_plugin.reduction.selectors import Members, Selector, check_needs
from sparft_plugin.reduction.selectors.base import MENDS
from sparft_plugin.testing.expect import (
    Checked,
    expect,
    expect_dataclass,
    expect_refusal,
    global_seed,
)

NEEDS = frozenset(MENDS)


@dataclass(frozen=True)
class Subject(Checked[Selector]):
    """A selector under check."""

    def choose(self, members: Members, k: int, seed: int = 0) -> list[int]:
        """Make it and select."""
        chosen = self.make().select(members, k, np.random.default_rng(seed))
        return [int(row) for row in chosen]


def check_selector(factory: Callable[..., Selector], **options: Any) -> None:
    """Check that a selector keeps the contract.

    It must give min(k, n) distinct rows whatever the members are (none, one, all equal, never
    visited), depend on members and generator alone, leave them as they were, not mind a shift or a
    scale of the features, need only what it says, and take 10,000 members in seconds. One that
    promises to be ``nested`` must be.
    """
    for check in SELECTOR_CHECKS:
        check(Subject(factory, options))


def cluster(n: int, width: int = 5, seed: int = 0) -> Members:
    """Make n members that differ in everything; a fifth of the visits did not happen."""
    draw = np.random.default_rng(seed)
    curves = draw.random((n, 6))
    curves[draw.random((n, 6)) < 0.2] = np.nan
    return Members(draw.normal(size=(n, width)), draw.random(n), curves)


def coarse_clusters(count: int) -> Iterator[Members]:
    """Make clusters of few members with many ties, which is where rules break."""
    for seed in range(count):
        draw = np.random.default_rng(seed)
        n, visits = int(draw.integers(1, 13)), int(draw.integers(1, 4))
        features = draw.integers(-2, 3, size=(n, int(draw.integers(1, 4)))).astype(np.float64)
        shares = np.array([0.0, 0.25, 1.0, np.nan])
        yield Members(features, draw.choice(shares[:3], n), draw.choice(shares, (n, visits)))


def without(members: Members, need: str) -> Members:
    """Return members that lack one thing a selector may need."""
    had = {"difficulties": members.difficulties, "curves": members.curves, need: None}
    return Members(members.features, **had)


def gives_the_exact_count_of_distinct_rows(subject: Subject) -> None:
    """As many as wanted, or all there are."""
    wanted = [(members, seed % 16) for seed, members in enumerate(coarse_clusters(60))]
    wanted += [(cluster(20), k) for k in (0, 1, 7, 20, 21, 1000)]
    for members, k in wanted:
        chosen = subject.make().select(members, k, np.random.default_rng(0))
        n, what = len(members), f"{subject.name}, asked for {k} of {len(members)} members,"
        expect(chosen.dtype == np.int64, f"{what} gave {chosen.dtype}, where int64 is due.")
        expect(chosen.shape == (min(k, n),), f"{what} gave an array of shape {chosen.shape}.")
        rows = chosen.tolist()
        expect(len(set(rows)) == len(rows), f"{what} gave a row twice: {rows}.")
        expect(set(rows) <= set(range(n)), f"{what} gave rows that do not exist: {rows}.")


def takes_degenerate_clusters(subject: Subject) -> None:
    """None, one, all equal, always or never solved, never visited."""
    draw = np.random.default_rng(0)
    expect(subject.choose(cluster(0), 3) == [], f"{subject.name} chose something of nothing.")
    expect(subject.choose(cluster(1), 3) == [0], f"{subject.name} lost a single member.")
    cases = {"equal": Members(np.full((9, 4), 0.1), np.full(9, 0.3), np.full((9, 2), 0.7))}
    for label in (0.0, 1.0):
        cases[f"of difficulty {label:g}"] = Members(
            draw.normal(size=(9, 4)), np.full(9, label), np.full((9, 2), 1 - label)
        )
    cases["never visited"] = dataclasses.replace(cluster(9), curves=np.full((9, 3), np.nan))
    for what, members in cases.items():
        for k in (5, 9):
            chosen = subject.choose(members, k)
            expect(
                len(set(chosen)) == k, f"{subject.name} gave {chosen} for {k} of 9 members, {what}."
            )


def depends_on_members_and_seed_alone(subject: Subject) -> None:
    """The same twice gives the same twice, in one object or in two."""
    for seed, members in enumerate(coarse_clusters(20)):
        k = 1 + seed % 6
        again = copy.deepcopy(members)
        expect(
            subject.choose(members, k, seed) == subject.choose(again, k, seed),
            f"{subject.name} did not repeat its choice of the same members with the same seed.",
        )
    runs = []
    for seed in (1, 2):
        with global_seed(seed):
            runs.append(subject.choose(cluster(40), 10))
    expect(runs[0] == runs[1], f"{subject.name} depends on numpy's global generator; use rng.")
    selector = subject.make()
    both = [selector.select(cluster(n), 4, np.random.default_rng(0)).tolist() for n in (30, 20, 30)]
    expect(
        both == [subject.choose(cluster(n), 4) for n in (30, 20, 30)],
        f"{subject.name} remembers a cluster when it is given the next.",
    )


def leaves_the_members_as_they_were(subject: Subject) -> None:
    """The arrays are the caller's."""
    members = cluster(30)
    before = copy.deepcopy(members)
    subject.choose(members, 10)
    for name in ("features", "difficulties", "curves"):
        same = np.array_equal(getattr(members, name), getattr(before, name), equal_nan=True)
        expect(same, f"{subject.name} wrote to the {name} of its members.")


def does_not_mind_a_shift_or_a_scale(subject: Subject) -> None:
    """Features have no unit."""
    members = cluster(40)
    moved = dataclasses.replace(members, features=1000.0 + 8.0 * members.features)
    expect(
        subject.choose(moved, 10) == subject.choose(members, 10),
        f"{subject.name} chooses otherwise when all features are shifted and scaled alike.",
    )


def needs_what_it_says(subject: Subject) -> None:
    """The rest may be missing; what it needs is refused with the mend."""
    members, selector = cluster(30), subject.make()
    expect_dataclass(selector, Selector, subject.name)
    strange = set(selector.needs - NEEDS)
    expect(not strange, f"{subject.name} needs {strange}, not of {NEEDS}.")
    for spare in sorted(NEEDS - selector.needs):
        expect(
            subject.choose(without(members, spare), 10) == subject.choose(members, 10),
            f"{subject.name} reads {spare} and does not say so in 'needs'.",
        )
    for need in sorted(selector.needs):
        for action in (
            partial(check_needs, subject.name, selector, NEEDS - {need}),
            partial(subject.choose, without(members, need), 2),
        ):
            expect_refusal(
                action,
                "needs .*; add --difficulty ",
                f"{subject.name} must refuse members without {need} with the mend",
            )


def is_nested_if_it_says_so(subject: Subject) -> None:
    """The choice of k begins the choice of k + 1."""
    if not subject.make().nested:
        return
    for members in coarse_clusters(20):
        everyone = subject.choose(members, len(members))
        for k in range(len(members)):
            chosen = subject.choose(members, k)
            expect(
                chosen == everyone[:k],
                f"{subject.name} says it is nested, but {k} members are {chosen} and all of them "
                f"are {everyone}.",
            )


def takes_ten_thousand_members(subject: Subject) -> None:
    """In seconds."""
    members = cluster(10_000, width=33)
    start = time.perf_counter()
    chosen = subject.choose(members, 100)
    took = time.perf_counter() - start
    expect(took < 10, f"{subject.name} took {took:.0f} s for 100 of 10,000 members.")
    expect(len(set(chosen)) == 100, f"{subject.name} gave {len(set(chosen))} of 100 members.")


SELECTOR_CHECKS: tuple[Callable[[Subject], None], ...] = (
    gives_the_exact_count_of_distinct_rows,
    takes_degenerate_clusters,
    depends_on_members_and_seed_alone,
    leaves_the_members_as_they_were,
    does_not_mind_a_shift_or_a_scale,
    needs_what_it_says,
    is_nested_if_it_says_so,
    takes_ten_thousand_members,
)
"""What ``check_selector`` does, one by one."""
