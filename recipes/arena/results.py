"""What the rows of a suite say: paired differences, headroom, and the six answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from stats import (
    Interval,
    Strata,
    holm,
    improvement,
    iqm_interval,
    mean_interval,
    p_value,
    reached,
)

MARGIN = 0.01
"""What counts as no harm, in area."""
GATE = 4.0
"""Standard errors by which the oracle must be above uniform where a pool counts for wins."""
HARMLESS = "healthy"
"""The pool where doing nothing is right."""
BASE = "uniform"
TWINS = ("late_blind",)
"""Pools that differ from another by their arms alone: most of their rows repeat that one's, so they
are shown by themselves and are in no mean over pools."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Headroom:
    """What can be won in a pool, measured before any method was run on it."""

    gap: Interval
    """Area of the oracle minus uniform's."""
    errors: float
    """The same in standard errors."""
    target: float
    """Held-out pass rate that rollouts are counted to: four fifths of uniform's way."""

    @property
    def wins(self) -> bool:
        """Whether the pool counts for wins; else only for no harm."""
        return self.errors >= GATE


def headroom(rows: Sequence[Row]) -> dict[str, Headroom]:
    """Headroom of every pool, from the rows of the suite of that name."""
    found = {}
    for pool in dict.fromkeys(row["pool"] for row in rows):
        of = {arm: _by_seed(rows, pool, arm) for arm in (BASE, "oracle")}
        gaps = np.array(
            [of["oracle"][seed]["area"] - row["area"] for seed, row in of[BASE].items()]
        )
        start = np.mean([row["curve"][0][1] for row in of[BASE].values()])
        end = np.mean([row["end"] for row in of[BASE].values()])
        error = gaps.std(ddof=1) / np.sqrt(len(gaps))
        found[pool] = Headroom(
            mean_interval(gaps), float(gaps.mean() / error), float(start + 0.8 * (end - start))
        )
    return found


def _by_seed(rows: Iterable[Row], pool: str, arm: str) -> dict[int, Row]:
    return {row["seed"]: row for row in rows if row["pool"] == pool and row["arm"] == arm}


@dataclass(frozen=True)
class Results:
    """Rows of one suite, with the headroom of its pools."""

    rows: Sequence[Row]
    rooms: Mapping[str, Headroom]

    @cached_property
    def _table(self) -> dict[tuple[str, str], dict[int, Row]]:
        table: dict[tuple[str, str], dict[int, Row]] = {}
        for row in self.rows:
            table.setdefault((row["pool"], row["arm"]), {})[row["seed"]] = row
        return table

    @property
    def pools(self) -> list[str]:
        """Pools that have rows, in the order of the first."""
        return list(dict.fromkeys(row["pool"] for row in self.rows))

    @property
    def arms(self) -> list[str]:
        """Arms that have rows, in the order of the first."""
        return list(dict.fromkeys(row["arm"] for row in self.rows))

    @property
    def distinct_pools(self) -> list[str]:
        """Pools that are no other's twin."""
        return [pool for pool in self.pools if pool not in TWINS]

    @property
    def win_pools(self) -> list[str]:
        """Pools that count for wins."""
        return [pool for pool in self.distinct_pools if self.rooms[pool].wins]

    def of(self, pool: str, arm: str) -> dict[int, Row]:
        """Rows of an arm in a pool, by seed."""
        return self._table.get((pool, arm), {})

    def values(self, arm: str, value: Callable[[Row], float], pools: Sequence[str]) -> Strata:
        """A value of every run of an arm."""
        found = {pool: [value(row) for row in self.of(pool, arm).values()] for pool in pools}
        return {pool: np.array(v) for pool, v in found.items() if v}

    def differences(
        self,
        arm: str,
        base: str = BASE,
        pools: Sequence[str] | None = None,
        value: Callable[[Row], float] = lambda row: row["area"],
    ) -> Strata:
        """Paired differences of an arm to another by pool; seeds that both have."""
        found = {}
        for pool in self.pools if pools is None else pools:
            ours, theirs = self.of(pool, arm), self.of(pool, base)
            seeds = sorted(ours.keys() & theirs.keys())
            if seeds:
                found[pool] = np.array([value(ours[s]) - value(theirs[s]) for s in seeds])
        return found

    def saved(self, arm: str, base: str = BASE) -> Strata:
        """Share of the budget by which an arm is earlier at the target, in pools for wins."""
        found = {}
        for pool in self.win_pools:
            target = self.rooms[pool].target

            def share(row: Row, target: float = target) -> float:
                budget = row["settings"]["budget"]
                return -reached(row["curve"], target, budget) / budget

            found |= self.differences(arm, base, [pool], share)
        return found

    def mean(self, arm: str, name: str, pools: Sequence[str] | None = None) -> float:
        """Mean of a number of the rows of an arm."""
        pools = self.pools if pools is None else pools
        return float(np.mean([row[name] for p in pools for row in self.of(p, arm).values()]))


@dataclass(frozen=True)
class Verdict:
    """An arm against uniform."""

    arm: str
    area: Interval
    """Interquartile mean of the paired differences in area, over pools for wins."""
    saved: Interval
    """The same of the share of the budget saved to the target."""
    better: float
    """Probability of improvement in area."""
    p: float
    """Of both primary tests, adjusted by Holm: the smaller."""
    healthy: Interval
    """Mean paired difference in area on the healthy pool."""
    end: Interval
    """Interquartile mean of the paired differences of the end point."""
    silent: float
    """Share of silent groups, over all pools."""
    seconds: float
    """Seconds of a run, as a ratio to uniform's."""
    known: Interval | None
    """Change of what was solved before training, to uniform's; pools that have some."""
    probes: int

    @property
    def survives(self) -> bool:
        """Whether the screen leaves a win possible: an interval that does not exclude one."""
        return self.area.high > 0 or self.saved.high > 0


def verdicts(results: Results) -> list[Verdict]:
    """Verdicts of all arms but uniform, best area first."""
    found = []
    for arm in results.arms:
        if arm == BASE:
            continue
        area, saved = results.differences(arm, pools=results.win_pools), results.saved(arm)
        if not area:
            continue
        known = results.differences(
            arm,
            value=lambda row: row["known"][1],
            pools=[p for p in results.pools if next(iter(results.of(p, BASE).values()))["known"]],
        )
        healthy = results.differences(arm, pools=[HARMLESS])
        none = Interval(0.0, -np.inf, np.inf)
        found.append(
            Verdict(
                arm=arm,
                area=iqm_interval(area),
                saved=iqm_interval(saved),
                better=improvement(
                    results.values(arm, lambda row: row["area"], list(area)),
                    results.values(BASE, lambda row: row["area"], list(area)),
                ),
                p=min(holm([p_value(area), p_value(saved)])),
                healthy=mean_interval(healthy[HARMLESS]) if healthy else none,
                end=iqm_interval(
                    results.differences(arm, pools=results.win_pools, value=lambda row: row["end"])
                ),
                silent=results.mean(arm, "silent"),
                seconds=results.mean(arm, "cpu_seconds") / results.mean(BASE, "cpu_seconds"),
                known=iqm_interval(known) if known else None,
                probes=int(results.mean(arm, "probes")),
            )
        )
    return sorted(found, key=lambda verdict: -verdict.area.value)
