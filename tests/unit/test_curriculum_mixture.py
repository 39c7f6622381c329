"""Fixed mixtures: shares, refusals, and the fit against forms of known maximum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.mixture import MixtureCurriculum, fit_mixture, maximise
from sparft_plugin.errors import SparftError

from .arm_data import pool, shares


def started(*sizes, seed=0, **options):
    return MixtureCurriculum(**options).start(pool(*sizes), seed)


@pytest.mark.parametrize(
    "weights", [[0.2, 0.5, 0.3], {0: 0.2, 1: 0.5, 2: 0.3}, {"1": 0.5, "2": 0.3, "0": 0.2}]
)
def test_arms_are_drawn_by_their_weights(weights):
    curriculum = started(4, 4, 4, weights=weights)
    assert shares(curriculum) == pytest.approx([0.2, 0.5, 0.3], abs=0.015)
    assert curriculum.metrics()["arm_1/weight"] == 0.5


def test_without_weights_every_arm_with_prompts_has_the_same():
    assert started(1, 0, 9).share.tolist() == [0.5, 0, 0.5]


def test_an_arm_of_weight_0_is_drawn_only_when_the_others_have_given_all():
    curriculum = started(3, 3, weights={0: 1.0})
    for _ in range(50):
        assert {pick.prompt.arm for pick in curriculum.select(3)} == {0}
    assert sorted(pick.prompt.arm for pick in curriculum.select(5)) == [0, 0, 0, 1, 1]


def test_weights_within_a_millionth_of_1_are_taken():
    assert shares(started(2, 2, weights=[0.5, 0.5 + 9e-7])) == pytest.approx([0.5, 0.5], abs=0.02)


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([0.5, 0.4], "must sum to 1, not to 0.9"),
        ([0.5, 0.5 + 3e-6], "must sum to 1"),
        ([], "must sum to 1, not to 0"),
        ([1.5, -0.5], r"of arm 0 must be a number in \[0, 1\], not 1.5"),
        ([0.5, np.nan], "of arm 1 must be a number"),
        ([True, 0.0], "of arm 0 must be a number"),
        ({"maths": 1.0}, "names the arm 'maths'; name arms by their number"),
        ({0: 0.5, "0": 0.5}, "names the arm 0 twice"),
        ({-1: 1.0}, "names the arm -1"),
        ("0.5,0.5", "must be a mapping of arms, or a list"),
        (1.0, "must be a mapping of arms, or a list"),
    ],
)
def test_weights_that_are_no_mixture_are_refused(weights, match):
    with pytest.raises(SparftError, match=rf"^sparft\.curriculum\.weights.*{match}"):
        MixtureCurriculum(weights=weights)


@pytest.mark.parametrize("arm", [1, 3])
def test_an_arm_without_prompts_is_refused_by_name(arm):
    match = rf"gives arm {arm} the weight 0.5, but it has no prompts; .* are \[0, 2\]"
    with pytest.raises(SparftError, match=match):
        started(2, 0, 2, weights={0: 0.5, arm: 0.5})


def test_an_arm_without_prompts_may_be_named_with_weight_0():
    assert started(2, 0, 2, weights=[0.5, 0, 0.5, 0]).share.tolist() == [0.5, 0, 0.5]


def grid(arms, steps):
    """All weights in multiples of 1 / steps."""
    if arms == 1:
        return [[steps]]
    return [[i, *rest] for i in range(steps + 1) for rest in grid(arms - 1, steps - i)]


def lattice(arms, steps=6):
    rows = np.array([row for row in grid(arms, steps) if sum(row) == steps], dtype=np.float64)
    return rows / steps


def test_the_fit_worked_by_hand():
    # Scores at 0, 1/2 and 1 of arm 0 are 0, 1 and 0.4. The parabola through them, a + b w + c w^2,
    # has c = 2 (0 - 2 * 1 + 0.4) = -3.2 and b = 0.4 + 3.2 = 3.6: its top is at 3.6 / 6.4 = 0.5625.
    best = fit_mixture([[0, 1], [0.5, 0.5], [1, 0]], [0.0, 1.0, 0.4])
    assert best == pytest.approx([0.5625, 0.4375])


def test_arms_that_help_each_other_are_mixed_and_a_useless_one_is_left_out():
    # score = a + b.w + w'Cw: arms 0 and 1 gain from each other, arm 2 gains nothing.
    weights = lattice(3)
    scores = 0.1 + weights @ [0.3, 0.3, 0.05] + 0.8 * weights[:, 0] * weights[:, 1]
    assert fit_mixture(weights, scores) == pytest.approx([0.5, 0.5, 0], abs=1e-9)


@given(
    entries=st.lists(st.integers(-6, 6), min_size=10, max_size=10),
    arms=st.integers(2, 4),
)
def test_nothing_on_a_fine_grid_is_better_than_the_maximum(entries, arms):
    form = np.zeros((arms, arms))
    upper = np.triu_indices(arms)
    form[upper] = entries[: len(upper[0])]
    form = (form + form.T) / 2
    best = maximise(form)
    assert best.min() >= 0
    assert best.sum() == pytest.approx(1)
    points = lattice(arms, 12)
    assert best @ form @ best >= np.einsum("ni,ij,nj->n", points, form, points).max() - 1e-9


def test_too_few_pilot_runs_are_refused_unless_there_is_a_ridge():
    runs, scores = [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0.1, 0.9, 0.2]
    with pytest.raises(SparftError, match="3 pilot runs do not determine the 6 numbers"):
        fit_mixture(runs, scores)
    assert fit_mixture(runs, scores, ridge=1e-3) == pytest.approx([0, 1, 0])


@pytest.mark.parametrize(
    ("weights", "scores", "ridge", "match"),
    [
        ([[1, 0], [0, 1]], [1.0], 0, "do not belong together"),
        ([], [], 0, "do not belong together"),
        ([[1, 0], [0.5, 0.4]], [1, 2], 0, "run 1 has weights that do not sum to 1"),
        ([[1.5, -0.5]], [1], 0, "run 0 has weights that do not sum to 1, or < 0"),
        ([[1, 0]], [np.nan], 0, "scores must be finite"),
        ([[1, 0]], [1], -1, "ridge at least 0"),
        ([[1] + [0] * 16], [1], 1, "17 arms is too many"),
    ],
)
def test_bad_pilot_runs_are_refused(weights, scores, ridge, match):
    with pytest.raises(SparftError, match=match):
        fit_mixture(weights, scores, ridge)
