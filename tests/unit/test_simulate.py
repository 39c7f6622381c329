"""The simulator's learner, run and figures against worked numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sparft_plugin.curriculum import Prompt, PromptPool
from sparft_plugin.curriculum.uniform import UniformCurriculum
from sparft_plugin.errors import SparftError
from sparft_plugin.simulate import SCENARIOS, Learner, Method, Scenario, Trace, compare, simulate
from sparft_plugin.simulate.compare import Comparison, Figure, band
from sparft_plugin.simulate.show import table

SMALL = Scenario("small", arms=3, prompts_per_arm=4, steps=6, batch_size=4, group_size=4)


def groups(*right, n=4):
    return np.array([[1.0] * r + [0.0] * (n - r) for r in right])


def test_pass_rates_follow_skill_and_difficulty():
    learner = Learner(SMALL, 0)
    learner.skill[:] = [1.0, 0.0, -1.0]
    advance = np.repeat(learner.skill, 4) - learner.difficulties
    assert learner.pass_rates(np.arange(12)) == pytest.approx(1 / (1 + np.exp(-1.5 * advance)))


def test_a_step_worked_by_hand():
    learner = Learner(replace(SMALL, transfer=0.5, forgetting=0.1), 0)
    learner.skill[:] = [1.0, 1.0, 1.0]
    easy, middle, hard = 0, 1, 2
    # Four groups of 4: two of the easy arm with 2 and 4 right, one of the hard arm with 1 right,
    # one of the middle arm with none. 4 c (n - c) / (n (n - 1)) is 4/3, 0, 1 and 0, the batch has
    # four groups and the learning rate is 1/2: gains 1/2 * (4/3) / 4 = 1/6 and 1/2 * 1 / 4 = 1/8.
    # The middle arm gains half of what the easy one gains; nothing is harder than the hard arm.
    learner.train(np.array([4 * easy, 4 * easy + 1, 4 * hard, 4 * middle]), groups(2, 4, 1, 0))
    assert learner.skill[[easy, middle, hard]] == pytest.approx(
        [0.9 + 1 / 6, 0.9 + 1 / 12, 0.9 + 1 / 8]
    )


def test_arms_and_shares_that_never_or_always_pass_stay_what_they_are():
    learner = Learner(replace(SMALL, unlearnable_arms=1, saturated_arms=2), 0)
    assert learner.learned.tolist() == [False] * 3 + [True] * 3
    learner.skill += 5.0
    rates = learner.pass_rates(np.arange(24))
    assert set(rates[:4]) == {0.0}
    assert set(rates[4:12]) == {1.0}
    assert ((rates[12:] > 0.5) & (rates[12:] < 1)).all()
    options = {"unlearnable_share": 0.3, "saturated_share": 0.2, "spread": 0.1}
    rates = Learner(replace(SMALL, prompts_per_arm=2000, **options), 0).pass_rates(np.arange(6000))
    assert (rates == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert (rates == 1).mean() == pytest.approx(0.2, abs=0.02)


def test_the_target_is_new_prompts_of_the_arms_that_are_learned():
    scenario = replace(SMALL, unlearnable_arms=2, easiest=0.0, hardest=0.0)
    learner = Learner(scenario, 0)
    assert learner.target_pass_rate() == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    learner.skill += 0.7
    sampled = 1 / (1 + np.exp(-1.5 * (0.7 - 0.5 * rng.standard_normal(200_000))))
    assert learner.target_pass_rate() == pytest.approx(sampled.mean(), abs=0.003)


def test_the_difficulty_that_curricula_see_is_the_measured_one():
    learner = Learner(replace(SMALL, prompts_per_arm=500), 0)
    rates = learner.pass_rates(np.arange(1500))
    assert np.corrcoef(learner.pool.difficulties, 1 - rates)[0, 1] > 0.9
    assert (learner.pool.difficulties * 16 % 1 == 0).all()
    assert np.linalg.norm(learner.pool.embeddings, axis=1) == pytest.approx(1)


class Fixed:
    """A world of two prompts, one always right and one half right, that counts its training."""

    def __init__(self):
        self.pool = PromptPool.of([Prompt("always", 0), Prompt("half", 1)])
        self.learned = np.array([False, True])
        self.steps = 0

    def pass_rates(self, positions):
        return np.array([1.0, 0.5])[positions]

    def train(self, positions, accuracies):
        self.steps += 1

    def target_pass_rate(self):
        return self.steps / 10


class Told(UniformCurriculum):
    """Notes what it was told and when it was asked."""

    def begin(self):
        super().begin()
        self.log = []

    def choose(self, n):
        self.log.append("asked")
        return super().choose(n)

    def learn(self, groups):
        self.log.append([o.model_version for o in groups.outcomes])
        self.last = groups.outcomes


def test_groups_come_back_late_by_as_many_steps_as_asked_with_grpos_advantages():
    world = Fixed()
    curriculum = Told().start(world.pool, 0)
    setting = Scenario("four steps", steps=4, batch_size=2, group_size=6, delay=2)
    trace = simulate(curriculum, world, setting)
    assert curriculum.log == ["asked", "asked", "asked", [0, 0], "asked", [1, 1]]
    assert trace.pass_rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert trace.picks.tolist() == [[1, 1]] * 4
    assert set(trace.wasted) <= {0.5, 1.0}
    for outcome in curriculum.last:
        a = outcome.accuracies
        assert outcome.advantages == pytest.approx((a - a.mean()) / (a.std(ddof=1) + 1e-6))


def runs(*curves, batch_picks=(3, 1)):
    rates = np.array(curves, dtype=float)
    seeds, steps = rates.shape[0], rates.shape[1] - 1
    return Trace(rates, np.full((seeds, steps), 0.25), np.full((seeds, steps, 2), batch_picks))


def test_figures_worked_by_hand():
    found = Comparison(
        "hand",
        Scenario("two methods", batch_size=4),
        np.array([True, False]),
        {
            "uniform": runs([0.0, 0.2, 0.5, 1.0], [0.0, 0.4, 0.5, 1.0]),
            "other": runs([0.0, 0.9, 0.9, 0.9], [0.0, 0.1, 0.2, 0.3]),
        },
        {},
    )
    # Uniform goes from 0 to 1: the goal is 0.9, reached at the third step of four prompts. The
    # other reaches it once at the first, and once not at all, which counts as all 12 prompts.
    assert found.goal == pytest.approx(0.9)
    prompts, reached = found.prompts_to_goal("uniform")
    assert (prompts.tolist(), reached) == ([12, 12], 2)
    prompts, reached = found.prompts_to_goal("other")
    assert (prompts.tolist(), reached) == ([4, 12], 1)
    assert found.ranking() == ["other", "uniform"]
    # 12 - 4 and 12 - 12: mean 4, standard deviation sqrt(32), half width 1.96 sqrt(32 / 2) = 7.84.
    assert found.against("uniform", "other") == pytest.approx((4, 7.84))
    assert found.better_than("uniform") == []
    text = table(found)
    assert "| other | > 8 ± 8 (1 of 2 reached it) | -4 ± 8 | 60.0% ± 58.8% |" in text
    assert "25.0% ± 0.0% | 25.0% to 75.0% |" in text
    assert text.endswith("Fewest prompts: other. Not told apart from it by these seeds: uniform.\n")
    method = found.as_json()["methods"]["other"]
    assert method["prompts_to_goal"]["seeds_that_reached_it"] == 1
    assert method["arm_shares"] == [0.75, 0.25]
    assert method["picks_of_arms_that_teach_nothing"]["mean"] == 0.25


def test_bands_hold_the_mean_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    draws = [Figure.of(rng.normal(size=20)) for _ in range(2000)]
    inside = np.mean([abs(figure.mean) < figure.half for figure in draws])
    assert 0.91 < inside < 0.96
    assert band(np.array([[1.0, 2.0]])).tolist() == [0, 0]


def test_every_method_meets_the_same_worlds_and_uniform_always_runs():
    found = compare([Method("sparft")], "small", SMALL, 3)
    assert set(found.runs) == {"sparft", "uniform"}
    starts = [found.runs[label].pass_rates[:, 0] for label in found.runs]
    assert np.array_equal(*starts)
    assert len(set(found.runs["uniform"].pass_rates[:, -1])) == 3
    again = compare([Method("sparft")], "small", SMALL, 3)
    assert json.dumps(found.as_json()) == json.dumps(again.as_json())
    assert found.runs["sparft"].picks.sum() == 3 * SMALL.steps * SMALL.batch_size


def test_methods_are_read_with_their_options():
    method = Method.parse("sparft:sigma=0.5:draw=step")
    assert method == Method("sparft", {"sigma": 0.5, "draw": "step"})
    assert method.label == 'sparft:sigma=0.5:draw="step"'
    with pytest.raises(SparftError, match="unknown curriculum 'sparf'; did you mean 'sparft'"):
        Method.parse("sparf")
    with pytest.raises(SparftError, match="'sigma' must be NAME=VALUE"):
        Method.parse("sparft:sigma")


def test_a_method_that_cannot_start_is_refused_or_left_out_with_its_reason():
    broken = Method("sparft", {"sigma": -1})
    with pytest.raises(SparftError, match=r"sigma must be a finite number > 0, not -1"):
        compare([broken], "small", SMALL, 1)
    found = compare([broken], "small", SMALL, 1, lenient=True)
    assert list(found.runs) == ["uniform"]
    assert "Left out: sparft:sigma=-1: sparft.curriculum.sigma must be a" in table(found)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_shipped_scenario_can_be_learned_by_uniform(name):
    scenario = SCENARIOS[name]
    found = compare([], name, scenario, 1)
    curve = found.runs["uniform"].pass_rates[0]
    assert curve[-1] > curve[0] + 0.1


@pytest.mark.parametrize(
    ("option", "value"), [("steps", 0), ("batch_size", 0), ("group_size", 1), ("delay", -1)]
)
def test_a_size_out_of_its_range_is_refused_as_the_user_writes_it(option, value):
    with pytest.raises(SparftError, match=rf"--{option.replace('_', '-')}={value} must be"):
        replace(SMALL, **{option: value})


def test_sparft_starves_for_arms_that_never_pass_and_a_floor_or_learnability_does_not():
    floored = Method("sparft", {"share_floor": 0.05})
    methods = [Method("sparft"), Method("learnability"), floored]
    found = compare(methods, "unlearnable", SCENARIOS["unlearnable"], 2)

    def dead_share(label):
        """Share of the picks of each quarter that goes to arms that never pass."""
        picks = found.runs[label].picks.sum(axis=0)
        quarters = np.stack([part.sum(axis=0) for part in np.array_split(picks, 4)])
        return quarters[:, ~found.learned].sum(axis=1) / quarters.sum(axis=1)

    assert (np.diff(dead_share("sparft")) > 0).all()
    assert dead_share("sparft")[-1] > 0.8
    # The floor is 3/13 of a tenth; uniform gives these arms 3/13 of all picks.
    assert 0.5 * 0.1 * 3 / 13 < dead_share("learnability")[-1] < 0.5 * 3 / 13
    assert found.runs["sparft"].arm_shares.min() < 0.03
    assert found.runs[floored.label].arm_shares.min() > 0.04
    assert found.runs[floored.label].pass_rates[:, -1].min() > 0.7


@pytest.mark.parametrize("name", ["transfer", "scattered", "policy_late"])
def test_learnability_is_ahead_of_uniform_where_prompts_differ_in_worth(name):
    found = compare([Method("learnability")], name, SCENARIOS[name], 3)
    assert found.against("uniform", "learnability").mean > 0
    ours, theirs = (found.runs[method].wasted.mean() for method in ("learnability", "uniform"))
    assert ours < theirs
