"""The learners that curricula are compared on; fixed before any method was run on them."""

from __future__ import annotations

from dataclasses import dataclass

from sparft_plugin.errors import SparftError


@dataclass(frozen=True)
class Scenario:
    """A pool of prompts and a learner; see ``Learner`` for the formulas.

    Parameters
    ----------
    about : str
        One line for people.
    arms, prompts_per_arm : int >= 1
        Size of the pool.
    easiest, hardest : float, default -2 and 2
        Mean difficulty, in logits, of the easiest and the hardest arm; the others lie between at
        equal steps. The learner starts with skill 0.
    spread : float >= 0, default 0.5
        Standard deviation of difficulty inside an arm.
    discrimination : float > 0, default 1.5
        Slope of the pass rate in skill minus difficulty.
    learning_rate : float > 0, default 0.5
        Skill that an arm gains by a batch of its own groups, all half right.
    unlearnable_arms, saturated_arms : int >= 0, default 0
        Further arms that never pass, and that always do.
    unlearnable_share, saturated_share : float in [0, 1], default 0
        Share of the prompts of every other arm that never pass, and that always do.
    transfer : float in [0, 1], default 0
        Share of an arm's gain that the next harder arm gains too.
    forgetting : float in [0, 1), default 0
        Share of what was learned that every arm loses in a step.
    delay : int >= 0, default 0
        Steps by which finished groups reach the curriculum late.
    steps, batch_size, group_size : int, defaults 100, 32 and 8
        Length of a run, groups in a step (>= 1) and rollouts in a group (>= 2).
    """

    about: str
    arms: int = 10
    prompts_per_arm: int = 30
    easiest: float = -2.0
    hardest: float = 2.0
    spread: float = 0.5
    discrimination: float = 1.5
    learning_rate: float = 0.5
    unlearnable_arms: int = 0
    saturated_arms: int = 0
    unlearnable_share: float = 0.0
    saturated_share: float = 0.0
    transfer: float = 0.0
    forgetting: float = 0.0
    delay: int = 0
    steps: int = 100
    batch_size: int = 32
    group_size: int = 8

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("group_size", 2), ("delay", 0)):
            value = getattr(self, name)
            if value < least:
                option = name.replace("_", "-")
                raise SparftError(f"--{option}={value} must be at least {least}.")


SCENARIOS = {
    "plain": Scenario("ten arms from easy to hard"),
    "unlearnable": Scenario("three more arms never pass: broken answers", unlearnable_arms=3),
    "saturated": Scenario("ten more arms always pass: known before", saturated_arms=10),
    "scattered": Scenario(
        "in every arm 30 % of the prompts never pass and 30 % always do: arms are topics",
        unlearnable_share=0.3,
        saturated_share=0.3,
    ),
    "transfer": Scenario(
        "hard arms start out of reach and are learned through the easier ones",
        hardest=5.0,
        transfer=0.5,
    ),
    "drift": Scenario("2 % of what was learned is forgotten in every step", forgetting=0.02),
    "late": Scenario("groups come back eight steps late", delay=8),
}
