"""What is picked: exact counts, no repeats, nothing but pool, seed and history behind it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from sparft_plugin.curriculum import Curriculum
from sparft_plugin.testing.curricula.subject import (
    LIFE,
    NEW_PROMPTS,
    PROMPTS,
    SEEDS,
    Subject,
    outcome,
    play,
    random_moves,
)
from sparft_plugin.testing.expect import expect, expect_dataclass


def is_a_dataclass_of_the_contract(subject: Subject) -> None:
    """Its fields are its options."""
    expect_dataclass(subject.factory(**subject.options), Curriculum, subject.name)


def selects_exactly_n_prompts_of_the_pool(subject: Subject) -> None:
    """Also one, and more than there are."""
    for n in (1, 2, len(PROMPTS), 50):
        picks = subject.make().select(n)
        ids = [pick.pick_id for pick in picks]
        expect(ids == list(range(n)), f"{subject.name} gave picks {ids} where {n} were asked for.")
        strange = {pick.prompt for pick in picks} - set(PROMPTS)
        expect(not strange, f"{subject.name} gave prompts that are not in the pool: {strange}.")


def gives_no_prompt_twice_in_a_batch(subject: Subject) -> None:
    """If the pool can fill it."""
    for n in (1, 5, len(PROMPTS)):
        curriculum = subject.make()
        for _ in range(20):
            picks = curriculum.select(n)
            twice = [i for i, c in Counter(pick.prompt.id for pick in picks).items() if c > 1]
            expect(
                not twice,
                f"{subject.name} gave {twice} twice in a batch of {n} of {len(PROMPTS)} prompts.",
            )
            curriculum.observe([outcome(pick) for pick in picks])


def repeats_no_prompt_more_than_it_must(subject: Subject) -> None:
    """A batch larger than the pool holds a prompt at most as often as the pool fits into it."""
    size = len(PROMPTS)
    for n in (size + 1, 2 * size, 50):
        curriculum = subject.make()
        for _ in range(5):
            picks = curriculum.select(n)
            often = Counter(pick.prompt.id for pick in picks).most_common(1)[0]
            expect(
                often[1] <= -(-n // size),
                f"{subject.name} gave {often[0]} {often[1]} times in a batch of {n} of {size} "
                "prompts.",
            )
            curriculum.observe([outcome(pick) for pick in picks])


def takes_a_single_prompt_as_a_pool(subject: Subject) -> None:
    """And gives it again and again."""
    curriculum = subject.make(prompts=NEW_PROMPTS[2:])
    picks = curriculum.select(3)
    curriculum.observe([outcome(pick) for pick in picks])
    ids = {pick.prompt.id for pick in picks + curriculum.select(2)}
    expect(ids == {"only"}, f"{subject.name} made {ids} of a pool with the one prompt 'only'.")


def depends_on_seed_and_history_alone(subject: Subject) -> None:
    """The same twice gives the same twice."""
    for seed in SEEDS:
        one, other = subject.make(seed), subject.make(seed)
        moves = random_moves(seed)
        expect(
            play(one, moves) == play(other, moves) and one.state_dict() == other.state_dict(),
            f"{subject.name} did not repeat itself with seed {seed} and the same history.",
        )


def leaves_global_chance_alone(subject: Subject) -> None:
    """Numpy's global generator neither matters nor moves."""
    runs = []
    before = np.random.get_state()  # noqa: NPY002
    try:
        for seed in (1, 2):
            np.random.seed(seed)  # noqa: NPY002
            runs.append(play(subject.make(), LIFE))
            drawn = np.random.random()  # noqa: NPY002
            np.random.seed(seed)  # noqa: NPY002
            expect(
                drawn == np.random.random(),  # noqa: NPY002
                f"{subject.name} drew from numpy's global generator; draw from self.rng.",
            )
    finally:
        np.random.set_state(before)  # noqa: NPY002
    expect(runs[0] == runs[1], f"{subject.name} depends on numpy's global generator.")


def does_not_depend_on_the_order_of_the_pool(subject: Subject) -> None:
    """A dataset may list its rows in any order."""
    straight = subject.make()
    expected = play(straight, LIFE), straight.state_dict()
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(PROMPTS))
        other = subject.make(prompts=[PROMPTS[i] for i in order])
        expect(
            (play(other, LIFE), other.state_dict()) == expected,
            f"{subject.name} gives other picks when the pool is listed in another order.",
        )


def reports_finite_metrics_that_add_up(subject: Subject) -> None:
    """Relative names; picks by arm and prompt are those made."""
    for seed in SEEDS:
        curriculum = subject.make()
        made = play(curriculum, random_moves(seed))
        metrics = curriculum.metrics()
        for key, value in metrics.items():
            expect(
                not key.startswith(("sparft", "curriculum", "/")),
                f"the metric '{key}' of {subject.name} must be a relative name.",
            )
            expect(
                type(value) is float and math.isfinite(value),
                f"the metric '{key}' of {subject.name} must be a finite float, not {value!r}.",
            )
        wanted = {"picks": len(made), "unique_prompts": len({pick.prompt.id for pick in made})}
        by_arm = Counter(pick.prompt.arm for pick in made)
        wanted |= {f"arm_{arm}/picks": by_arm[arm] for arm in range(4)}
        got = {key: metrics.get(key) for key in wanted}
        expect(got == wanted, f"{subject.name} reports {got}, where {wanted} was picked.")
