"""What is compared: each arm a ``sparft`` section, which a user could write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparft_plugin import plugins
from sparft_plugin.errors import unknown_name


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Parameters
    ----------
    section : mapping
        The ``sparft`` section, without its seed.
    refill : bool
        Drop silent groups and generate others in their place, all of them counted.
    shift : int
        Added to the seed of everything but the pool.
    """

    section: Mapping[str, Any]
    refill: bool = False
    shift: int = 0

    @property
    def reduced(self) -> bool:
        """Whether it trains on a part of the pool, whose arms are then clusters and not skills."""
        return "reduction" in self.section

    @property
    def probed(self) -> bool:
        """Whether it was told difficulties, which cost rollouts before training."""
        name = self.section.get("curriculum", {}).get("name")
        asked = name is not None and plugins.lookup("curriculum", name).needs_difficulty
        return asked or "difficulty_key" in self.section.get("reduction", {})


def _arm(curriculum: str = "uniform", /, *, reduction: Any = None, memory: Any = None, **options):
    section: dict[str, Any] = {"curriculum": {"name": curriculum, **options}}
    if reduction is not None:
        section["reduction"] = reduction
    if memory is not None:
        section["memory"] = {"name": memory, "encoder": "all-MiniLM-L6-v2", **WARMUP[memory]}
    return Arm(section)


WARMUP: dict[str, dict[str, Any]] = {
    "memory_r": {},
    "memory_r_plus": {"warmup_steps": 10},
    "memory_shuffled": {"warmup_steps": 10},
}
"""The paper's warm-up of 50 steps would be nearly the whole run."""


def _reduce(budget: int = 100, selector: str = "farthest_point") -> dict[str, Any]:
    """Options of `sparft reduce`, its defaults but for what is named."""
    section: dict[str, Any] = {"budget": budget, "selector": selector}
    if selector in ("d3", "difficulty_spread"):
        section["difficulty_key"] = "difficulty"
    return section


CONTROLS = {
    "uniform": _arm(),
    "uniform_again": Arm(_arm().section, shift=1000),
    "uniform_100": _arm(reduction=_reduce()),
    "random_100": _arm(reduction=_reduce(selector="random")),
    "refill": Arm(_arm().section, refill=True),
    "oracle": _arm("oracle"),
}
CURRICULA = {
    name: _arm(name)
    for name in [
        "adarft",
        "alp_gmm",
        "bots",
        "cyclical",
        "dads",
        "dump",
        "learnability",
        "mixture",
        "mopps",
        "ordered",
        "pcl",
        "sec",
        "sparft",
    ]
}
"""All that is shipped but gain_rl, whose angles come from another model's hidden states."""
WRAPPERS = {
    "uniform_retest": _arm(retest={"after": 3}),
    "sec_floor": _arm("sec", share_floor={"floor": 0.02}),
}
PARTS = {
    "sparft_100": _arm("sparft", reduction=_reduce()),
    "memory_r": _arm(memory="memory_r"),
    "memory_r_plus": _arm(memory="memory_r_plus"),
    "memory_shuffled": _arm(memory="memory_shuffled"),
    "memory_100": _arm(reduction=_reduce(), memory="memory_r_plus"),
    "sparft_and_memory": _arm("sparft", memory="memory_r_plus"),
    "sparft_memory": _arm("sparft", reduction=_reduce(), memory="memory_r_plus"),
}
SIZES = {
    f"{name}_{size}": _arm(reduction=_reduce(size, selector))
    for name, selector in (("uniform", "farthest_point"), ("random", "random"))
    for size in (25, 50, 200, 400)
}
SELECTORS = {
    f"{name}_100": _arm(reduction=_reduce(selector=name))
    for name in ("nearest_centroid", "medoid", "d3", "difficulty_spread")
}
"""All that is shipped but limr, which reads the log of a finished run."""
ARMS = CONTROLS | CURRICULA | WRAPPERS | PARTS | SIZES | SELECTORS


def named(name: str) -> Arm:
    """Return an arm by its name; the name of any installed curriculum is one.

    Raises
    ------
    SparftError
        If there is no such arm; the nearest is offered.
    """
    if name in ARMS:
        return ARMS[name]
    installed = plugins.registered("curriculum")
    if name in installed:
        return _arm(name)
    raise unknown_name("arm", name, [*ARMS, *installed])
