"""How the order of `sparft simulate` agrees with the arena's, without a model and with one.

python recipes/arena/simulated.py        # runs the simulator, some minutes; writes simulated.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from arms import CURRICULA
from results import Results
from scipy.stats import spearmanr
from stats import fisher_interval

from sparft_plugin import plugins
from sparft_plugin.simulate import rank

SIMULATED = Path(__file__).with_name("simulated.json")
SEEDS = 16
POOL_OF = {
    "policy_late": "late_phase",
    "policy_blind": "late_blind",
    "policy_healthy": "healthy",
    "transfer": "frontier",
}
"""Scenarios of the simulator, and the arena's pool that each one is like."""


def agreement(results: Results, orders: Mapping[str, Mapping[str, float]]) -> str:
    """Rank correlation of the curricula's areas in each scenario and in the pool that it is like.

    Parameters
    ----------
    results : Results
        Rows of a suite.
    orders : mapping of scenario to area by curriculum
        As ``sparft_plugin.simulate.rank`` gives them.
    """
    found = []
    for scenario, areas in orders.items():
        pool = POOL_OF[scenario]
        gains = {name: results.differences(name, pools=[pool]) for name in areas}
        both = [name for name in areas if gains[name]]
        here = [float(gains[name][pool].mean()) for name in both]
        order = spearmanr([areas[name] for name in both], here).statistic
        found.append(f"`{scenario}` {fisher_interval(order, len(both))} in `{pool}`")
    return (
        f"**Rank correlation of the simulator's order** of {len(both)} curricula with the arena's: "
        f"{', '.join(found)}. Where the interval contains 0, the simulator does not predict the "
        "order."
    )


def main() -> None:
    """Run every curriculum of the arena that needs no difficulties in every scenario."""
    methods = [n for n in CURRICULA if not plugins.lookup("curriculum", n).needs_difficulty]
    orders = {scenario: rank(scenario, methods, SEEDS) for scenario in POOL_OF}
    SIMULATED.write_text(
        json.dumps(
            {s: {name: round(area, 5) for name, area in o.items()} for s, o in orders.items()},
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
