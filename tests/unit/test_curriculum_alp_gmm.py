"""ALP-GMM: progress worked by hand, a naive oracle of it, and where the mixture leads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Prompt
from sparft_plugin.curriculum.alp_gmm import LEVELS, AlpGmmCurriculum, fit, progress_by_level

from .arm_data import group, pool, shares, tell


def graded(*difficulties):
    """One prompt of each difficulty."""
    return [Prompt(f"p{i:04}", 0, difficulty) for i, difficulty in enumerate(difficulties)]


def observe(curriculum, rates):
    """One observation: a group of ten rollouts for each prompt position, solved as often as said.

    Every prompt of the pool is picked; the picks that are not named expire.
    """
    picks = curriculum.select(len(curriculum.pool))
    at = {pick.prompt.id: pick for pick in picks}
    named = {f"p{i:04}": rate for i, rate in rates.items()}
    curriculum.observe(
        [
            group(at[name], [1] * round(10 * rate) + [0] * (10 - round(10 * rate)))
            for name, rate in named.items()
        ]
    )
    curriculum.expire(list(curriculum.outstanding))


def probabilities(curriculum):
    scores = np.exp(curriculum.score_arms())
    return scores * (curriculum.passes.sizes > 0)


@given(
    steps=st.lists(
        st.dictionaries(st.integers(0, 7), st.integers(0, 10), min_size=1, max_size=5), max_size=6
    ),
    values=st.lists(st.integers(0, 20), min_size=8, max_size=8),
)
def test_progress_equals_a_naive_implementation(steps, values):
    curriculum = AlpGmmCurriculum().start(graded(*[value / 20 for value in values]))
    history, expected = {}, []
    for step in steps:
        observe(curriculum, {i: solved / 10 for i, solved in step.items()})
        now = {}
        for i, solved in step.items():
            if history:
                near = min(history, key=lambda other: (abs(other - values[i]), other))
                expected.append((values[i] * 50, abs(solved / 10 - history[near])))
            now.setdefault(values[i], []).append(solved / 10)
        history |= {value: sum(rates) / len(rates) for value, rates in now.items()}
    got = sorted((level, round(progress, 9)) for level, progress in curriculum.points.tolist())
    assert got == sorted((level, round(progress, 9)) for level, progress in expected)
    assert curriculum.metrics()["points"] == len(expected)


def test_before_the_first_fit_prompts_are_drawn_uniformly():
    curriculum = AlpGmmCurriculum().start(graded(0.1, 0.1, 0.1, 0.9))
    expected = np.zeros(901)
    expected[[100, 900]] = 0.75, 0.25
    assert probabilities(curriculum) == pytest.approx(expected)


def learn_the_middle(curriculum, steps=6):
    """The pass rate between 0.4 and 0.6 swings, elsewhere it stands still."""
    difficulties = curriculum.pool.difficulties
    middle = (difficulties > 0.4) & (difficulties < 0.6)
    for step in range(steps):
        rates = np.where(middle, step % 2, np.where(difficulties < 0.5, 1.0, 0.0))
        observe(curriculum, dict(enumerate(rates)))


def test_the_mixture_leads_to_where_the_pass_rate_changes():
    curriculum = AlpGmmCurriculum(refit_every=100).start(graded(*np.arange(100) / 100))
    learn_the_middle(curriculum)
    chances = probabilities(curriculum)
    assert chances.sum() == pytest.approx(1)
    # 0.2 uniformly over 100 prompts, of which 19 are in the middle; nearly all the rest there.
    assert chances[401:600].sum() > 0.7
    assert chances[:400].sum() + chances[600:].sum() > 0.15
    assert curriculum.metrics()["mixture_difficulty"] == pytest.approx(0.5, abs=0.05)
    picks = [pick for _ in range(50) for pick in curriculum.select(5)]
    inside = sum(0.4 < pick.prompt.difficulty < 0.6 for pick in picks)
    assert inside / len(picks) > 0.6


def test_the_mixture_is_drawn_by_mean_progress_and_density():
    # Two far groups of points: at 0.2 with progress 0.1, at 0.8 with progress 0.3. Each Gaussian is
    # as narrow as can be, so the shares of 0.2 and 0.8 are 0.1 and 0.3.
    points = np.repeat([0.2, 0.8], 50), np.repeat([0.1, 0.3], 50)
    share = progress_by_level(*points, np.array([0.0, 0.2, 0.5, 0.8, 1.0]), 10, "bic", seed=0)
    assert share == pytest.approx([0, 0.1, 0, 0.3, 0], abs=1e-6)


@pytest.mark.parametrize("criterion", ["bic", "aic"])
def test_the_criterion_finds_the_number_of_gaussians(criterion):
    rng = np.random.default_rng(0)
    centres = np.array([[0.1, 0.1], [0.5, 0.6], [0.9, 0.2]])
    points = np.concatenate([c + 0.02 * rng.standard_normal((80, 2)) for c in centres])
    assert fit(points, 10, criterion, seed=0).n_components == 3


@pytest.mark.parametrize("difficulties", [np.arange(20) / 20, [0.3] * 20])
def test_no_progress_at_all_is_drawn_uniformly(difficulties):
    curriculum = AlpGmmCurriculum(refit_every=20).start(graded(*difficulties))
    for _ in range(4):
        observe(curriculum, dict.fromkeys(range(20), 0.5))
    assert len(curriculum.points) == 0
    sizes = curriculum.passes.sizes
    assert probabilities(curriculum) == pytest.approx(sizes / sizes.sum())


def test_without_a_difficulty_for_every_prompt_arms_are_drawn_by_their_mean_progress():
    curriculum = AlpGmmCurriculum(refit_every=4, random_ratio=0.1).start(pool(4, 4, 8))
    tell(curriculum, (0, [1, 0]), (1, [0, 0]), (2, [1, 1]))
    # |1 - 1/2| = 0.5, |1/4 - 0| and 0.25 - 0 again: 0.25, and 0 for arm 2: shares 2/3, 1/3, 0.
    tell(curriculum, (0, [1, 1]), (1, [1, 0, 0, 0]), (1, [1, 0, 0, 0]), (2, [1, 1]))
    expected = 0.1 * np.array([1, 1, 2]) / 4 + 0.9 * np.array([2, 1, 0]) / 3
    assert probabilities(curriculum) == pytest.approx(expected)
    assert shares(curriculum) == pytest.approx(expected, abs=0.015)
    assert curriculum.metrics()["arm_0/mixture_share"] == pytest.approx(2 / 3)


def test_a_state_restores_the_fit_exactly():
    straight, resumed = (
        AlpGmmCurriculum(refit_every=100).start(graded(*np.arange(100) / 100)) for _ in range(2)
    )
    learn_the_middle(straight, 3)
    resumed.load_state_dict(straight.state_dict())
    for curriculum in (straight, resumed):
        learn_the_middle(curriculum, 3)
    assert straight.share.any()
    assert resumed.state_dict() == straight.state_dict()


def test_a_state_of_other_difficulties_is_kept_by_difficulty_and_says_nothing_of_arms():
    old = AlpGmmCurriculum().start(graded(0.1, 0.2, 0.3, 0.4))
    observe(old, {0: 0.5, 1: 0.5})
    old.select(2)
    new = AlpGmmCurriculum().start(graded(0.4, 0.1, 0.3, 0.1))
    arms = AlpGmmCurriculum().start([p._replace(difficulty=None) for p in graded(*[0] * 4)])
    for curriculum in (new, arms):
        curriculum.load_state_dict(old.state_dict())
        # The passes begin anew.
        assert len({pick.prompt.id for pick in curriculum.select(4)}) == 4
    assert new.last[100] == 0.5
    assert np.isnan(arms.last).all()


def test_difficulties_are_rounded_to_a_thousandth():
    curriculum = AlpGmmCurriculum().start(graded(0, 0.12345, 0.1231, 1))
    assert curriculum.levels.tolist() == [0, 123, 123, LEVELS - 1]
