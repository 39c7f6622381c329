"""The six questions of the arena, each answered by a sentence with an interval, wins or losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from arms import CURRICULA
from results import BASE, HARMLESS, MARGIN, Results, Verdict
from stats import Interval, iqm_interval, mean_interval

SIZES = (25, 50, 100, 200, 400)
SELECTORS = ("uniform", "random", "nearest_centroid", "medoid", "d3", "difficulty_spread")
"""First word of the arms that keep 100 prompts; `uniform` keeps those of farthest_point."""


def answers(results: Results, found: Mapping[str, Verdict], agreement: str) -> list[str]:
    """Answers (a) to (f) as lines of Markdown; one that has no rows yet says so."""
    questions: list[Callable[[], str]] = [
        lambda: hundred(results),
        lambda: bandit(results),
        lambda: memory(results),
        lambda: curricula(found),
        lambda: oracle(results, found),
        lambda: agreement,
    ]
    lines = []
    for letter, ask in zip("abcdef", questions, strict=True):
        try:
            lines.append(f"({letter}) {ask()}")
        except _NoRowsError as error:
            lines.append(f"({letter}) No rows of {error} in this suite.")
    return lines


class _NoRowsError(Exception):
    """An arm that an answer needs was not run."""


def _over(results: Results, arm: str, base: str = BASE, pools: list[str] | None = None) -> Interval:
    differences = results.differences(arm, base, pools or results.distinct_pools)
    if not differences:
        raise _NoRowsError(f"`{arm}`")
    return iqm_interval(differences)


def hundred(results: Results) -> str:
    """(a) The cost of a hundred prompts against all of them, and the size where it ends."""
    by_selector = {
        name: _over(results, f"{name}_100")
        for name in SELECTORS
        if results.differences(f"{name}_100")
    }
    if "uniform" not in by_selector:
        raise _NoRowsError("`uniform_100`")
    best = max(by_selector, key=lambda name: by_selector[name].value)
    title = "farthest_point" if best == "uniform" else best
    sentence = (
        f"**100 of 600 prompts** change the area by {by_selector['uniform']} with "
        f"`farthest_point`, {by_selector['random']} at random and {by_selector[best]} with the "
        f"best selector here, `{title}`"
    )
    free = [
        size
        for size in SIZES
        if results.differences(f"uniform_{size}")
        and _over(results, f"uniform_{size}").low >= -MARGIN
    ]
    if not any(results.differences(f"uniform_{size}") for size in SIZES if size != 100):
        return sentence + "."
    if free:
        return f"{sentence}; with `farthest_point` the cost is below {MARGIN} from {free[0]} on."
    return f"{sentence}; no size up to {SIZES[-1]} is shown to cost no more than {MARGIN}."


def bandit(results: Results) -> str:
    """(b) The bandit against uniform on the same prompts, and where it starves."""
    same, everything = _over(results, "sparft_100", "uniform_100"), _over(results, "sparft")
    starved = {
        pool: float(
            np.mean([row["silent"] for row in results.of(pool, "sparft").values()])
            - np.mean([row["silent"] for row in results.of(pool, BASE).values()])
        )
        for pool in results.pools
        if results.of(pool, "sparft")
    }
    worst = max(starved, key=lambda pool: starved[pool])
    return (
        f"**SPaRFT's bandit** changes the area by {same} against uniform on the same 100 prompts, "
        f"and by {everything} on all of them, with skills as arms. Its silent share is furthest "
        f"above uniform's in `{worst}` ({starved[worst]:+.2f})."
    )


def memory(results: Results) -> str:
    """(c) What Memory-R and Memory-R+ pay at equal rollouts, and what they cost in seconds."""
    cost = results.mean("memory_r_plus", "cpu_seconds") / results.mean(BASE, "cpu_seconds")
    return (
        f"**Memory** at equal rollouts: `memory_r` {_over(results, 'memory_r')}, `memory_r_plus` "
        f"{_over(results, 'memory_r_plus')}, the same doses dealt at random "
        f"{_over(results, 'memory_shuffled')}, so against that placebo "
        f"{_over(results, 'memory_r_plus', 'memory_shuffled')}. A run takes {cost:.1f} times the "
        "CPU seconds of one without."
    )


def curricula(found: Mapping[str, Verdict]) -> str:
    """(d) The curricula that save rollouts where there is headroom, and those that do harm."""
    ours = {name: found[name] for name in CURRICULA if name in found}
    if not ours:
        raise _NoRowsError("the curricula")
    save = [f"`{name}` {v.saved}" for name, v in ours.items() if v.saved.low > 0]
    lose = [f"`{name}` {v.saved}" for name, v in ours.items() if v.saved.high < 0]
    harm = [f"`{name}` {v.healthy}" for name, v in ours.items() if v.healthy.high < -MARGIN]
    return (
        "**Share of the rollouts saved** to the target in pools with headroom: "
        f"{', '.join(save) or 'none is shown to save any'}; later than uniform: "
        f"{', '.join(lose) or 'none'}. Harm beyond {MARGIN} on `{HARMLESS}`: "
        f"{', '.join(harm) or 'none is shown to do any'}."
    )


def oracle(results: Results, found: Mapping[str, Verdict]) -> str:
    """(e) How far the best is from the oracle."""
    if "oracle" not in found or not any(name in found for name in CURRICULA):
        raise _NoRowsError("the oracle beside a curriculum")
    best = max((found[n] for n in CURRICULA if n in found), key=lambda verdict: verdict.area.value)
    pools = results.win_pools
    gap = _over(results, best.arm, "oracle", pools)
    per_pool = {p: v.mean() for p, v in results.differences(best.arm, pools=pools).items()}
    room = {p: v.mean() for p, v in results.differences("oracle", pools=pools).items()}
    share = sum(per_pool.values()) / sum(room.values())
    return (
        f"**The best curriculum** by area here is `{best.arm}` ({best.area}): {gap} from the "
        f"oracle, {100 * share:.0f} % of the way from uniform to it."
    )


def by_pool(results: Results, arm: str) -> dict[str, Interval]:
    """Mean paired difference in area of an arm in every pool, with Student's interval."""
    return {pool: mean_interval(v) for pool, v in results.differences(arm).items()}
