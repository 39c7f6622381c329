"""Methods that follow a plan: cyclical phases, ordered stages, fixed mixtures and their fit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.cyclical import CyclicalCurriculum
from sparft_plugin.curriculum.mixture import MixtureCurriculum, fit_mixture, maximise
from sparft_plugin.curriculum.ordered import OrderedCurriculum
from sparft_plugin.errors import SparftError
from tests.unit import arm_data
from tests.unit.arm_data import shares
from tests.unit.prompt_data import even, group, ids, pool


def paper_sizes(start, end, alpha, count):
    """The paper's Algorithm 1, one size after the other."""
    sizes = [start]
    while len(sizes) < count:
        last = sizes[-1]
        rising = last == start or (len(sizes) > 1 and sizes[-2] < last and last != end)
        sizes.append(min(last / alpha, end) if rising else max(last * alpha, start))
    return sizes


class TestCyclical:
    @given(
        start=st.floats(0.05, 1.0),
        width=st.floats(0.0, 0.95),
        alpha=st.sampled_from([0.3, 0.5, 0.8]),
    )
    def test_shares_equal_the_papers_algorithm(self, start, width, alpha):
        end = min(1.0, start + width)
        shares = CyclicalCurriculum(start_share=start, end_share=end, multiplier=alpha).shares
        if start < end:
            assert shares * 3 == pytest.approx(paper_sizes(start, end, alpha, 3 * len(shares)))
        else:
            assert shares == [start]

    def test_phases_worked_by_hand(self):
        # 8 prompts: phases of 2, 4 and 8, each prompt at most once in a phase.
        curriculum = CyclicalCurriculum().start(even(8))
        for size, share in [(2, 0.25), (4, 0.5), (8, 1.0), (4, 0.5), (2, 0.25)]:
            picks = ids(curriculum.select(1)) + ids(curriculum.select(size - 1))
            assert len(set(picks)) == size
            assert curriculum.metrics()["share"] == share
            assert curriculum.metrics()["left_in_phase"] == 0

    def test_a_phase_draws_in_proportion_to_ease(self):
        # One prompt a phase: shares of the draw are ease / sum of ease, with ease at least 0.1.
        options = {"start_share": 0.25, "end_share": 0.25, "floor": 0.1}
        curriculum = CyclicalCurriculum(**options).start(pool(0.0, 0.4, 0.7, 1.0), seed=1)
        drawn = Counter(ids([pick for _ in range(8000) for pick in curriculum.select(1)]))
        for i, share in enumerate([0.5, 0.3, 0.15, 0.05]):
            deviation = np.sqrt(share * (1 - share) / 8000)
            assert drawn[f"p{i:02}"] / 8000 == pytest.approx(share, abs=4 * deviation)

    def test_the_whole_pool_comes_in_random_order(self):
        # Without the shuffle, easy prompts would come first in a phase that has them all.
        places = np.zeros(10)
        for seed in range(200):
            curriculum = CyclicalCurriculum(start_share=1.0).start(even(10), seed)
            for place in range(10):
                places[int(ids(curriculum.select(1))[0][1:])] += place
        assert np.abs(places / 200 - 4.5).max() < 1.0

    def test_a_prompt_of_two_phases_waits_for_the_next_batch(self):
        curriculum = CyclicalCurriculum(start_share=0.5).start(even(8))
        # Phases of 4 and 8: the first batch takes 4 and then 2 others, so that 6 are left.
        assert len(set(ids(curriculum.select(6)))) == 6
        assert curriculum.metrics()["left_in_phase"] == 6
        assert len(set(ids(curriculum.select(6)))) == 6


def observe(curriculum, right, rollouts=4):
    curriculum.observe([group(curriculum.select(1)[0], right, rollouts)])


class TestOrdered:
    def started(self, **options):
        return OrderedCurriculum(**options).start(even(9))

    @given(
        difficulties=st.lists(st.floats(0, 1), min_size=1, max_size=20), stages=st.integers(1, 6)
    )
    def test_stages_are_quantiles_of_difficulty(self, difficulties, stages):
        curriculum = OrderedCurriculum(stages=stages).start(pool(*difficulties))
        sizes = np.bincount(curriculum.stage_of)
        assert len(sizes) == min(stages, len(difficulties))
        assert sizes.max() - sizes.min() <= 1
        order = np.argsort(curriculum.stage_of, kind="stable")
        members = np.split(np.array(difficulties)[order], np.cumsum(sizes)[:-1])
        assert sorted(difficulties) == [d for part in members for d in sorted(part)]

    def test_stages_worked_by_hand(self):
        curriculum = self.started(stages=3, stage_steps=1)
        for first in (0, 3, 6, 6):
            assert set(ids(curriculum.select(3))) == {f"p0{i}" for i in range(first, first + 3)}
            observe(curriculum, 0)
        assert curriculum.metrics()["stage"] == 2

    @pytest.mark.parametrize(("planned", "steps"), [(None, 100), (12, 4), (13, 5), (2, 1)])
    def test_stages_share_the_run_unless_their_steps_are_given(self, planned, steps):
        curriculum, given = self.started(), self.started(stage_steps=2)
        for one in (curriculum, given):
            one.ledger.planned_steps = planned
            for _ in range(steps - 1):
                observe(one, 4)
        assert (curriculum.stage, given.stage) == (0, min(2, (steps - 1) // 2))
        observe(curriculum, 4)
        assert curriculum.stage == 1

    def test_a_stage_ends_when_its_last_groups_are_solved_well_enough(self):
        curriculum = self.started(advance="pass_rate", threshold=0.75, window=3)
        # Two groups are fewer than the window; (1 + 1 + 0) / 3, (1 + 0 + 1) / 3 and
        # (0 + 1 + 0.5) / 3 are below the threshold, (1 + 0.5 + 1) / 3 is not.
        for right in (4, 4, 0, 4, 2):
            observe(curriculum, right)
            assert curriculum.stage == 0
        assert curriculum.metrics()["stage_pass_rate"] == pytest.approx(0.5)
        observe(curriculum, 4)
        assert curriculum.stage == 1
        assert "stage_pass_rate" not in curriculum.metrics()

    def test_late_groups_of_an_earlier_stage_do_not_count(self):
        curriculum = self.started(advance="pass_rate", threshold=0.5, window=1)
        late, now = curriculum.select(2)
        for pick in (now, late):
            curriculum.observe([group(pick, 4, 4)])
            assert curriculum.stage == 1

    def test_a_batch_larger_than_its_stage_takes_the_next_harder_then_the_easier(self):
        curriculum = self.started(stages=3)
        curriculum._enter(1)
        assert set(ids(curriculum.select(5))) >= {"p03", "p04", "p05"}
        assert set(ids(curriculum.select(8))) >= {f"p0{i}" for i in range(3, 9)}

    def test_passes_begin_anew_over_other_difficulties_or_another_number_of_stages(self):
        old = OrderedCurriculum(stages=2).start(pool(0.1, 0.2, 0.8, 0.9))
        old.select(1)
        curriculum = OrderedCurriculum(stages=2).start(pool(0.9, 0.8, 0.2, 0.1))
        assert curriculum.load_state_dict(old.state_dict()) is None
        for _ in range(4):
            assert set(ids(curriculum.select(2))) == {"p02", "p03"}
        curriculum = OrderedCurriculum(stages=4).start(pool(0.1, 0.2, 0.8, 0.9))
        curriculum.load_state_dict(old.state_dict())
        assert ids(curriculum.select(1)) == ["p00"]


def lattice(arms, steps=6):
    """All weights in multiples of 1 / steps."""
    rows = np.stack(np.meshgrid(*[np.arange(steps + 1)] * arms), axis=-1).reshape(-1, arms)
    return rows[rows.sum(axis=1) == steps] / steps


class TestMixture:
    def started(self, *sizes, weights=None):
        return MixtureCurriculum(weights=weights).start(arm_data.pool(*sizes))

    @pytest.mark.parametrize(
        "weights",
        [[0.2, 0.5, 0.3], {0: 0.2, 1: 0.5, 2: 0.3}, {"1": 0.5, "2": 0.3, "0": 0.2 + 9e-7}],
    )
    def test_arms_are_drawn_by_their_weights(self, weights):
        curriculum = self.started(4, 4, 4, weights=weights)
        assert shares(curriculum) == pytest.approx([0.2, 0.5, 0.3], abs=0.015)
        assert curriculum.metrics()["arm_1/weight"] == 0.5

    def test_arms_without_prompts_have_no_share_and_may_be_named_with_weight_0(self):
        assert self.started(1, 0, 9).share.tolist() == [0.5, 0, 0.5]
        assert self.started(2, 0, 2, weights=[0.5, 0, 0.5, 0]).share.tolist() == [0.5, 0, 0.5]

    def test_an_arm_of_weight_0_is_drawn_only_when_the_others_have_given_all(self):
        curriculum = self.started(3, 3, weights={0: 1.0})
        for _ in range(50):
            assert {pick.prompt.arm for pick in curriculum.select(3)} == {0}
        assert sorted(pick.prompt.arm for pick in curriculum.select(5)) == [0, 0, 0, 1, 1]

    @pytest.mark.parametrize(
        ("weights", "match"),
        [
            ([0.5, 0.4], "must sum to 1, not to 0.9"),
            ([0.5, 0.5 + 3e-6], "must sum to 1"),
            ([], "must sum to 1, not to 0"),
            ([1.5, -0.5], "of arm 0 must be a finite number >= 0 and <= 1, not 1.5"),
            ([0.5, np.nan], "of arm 1 must be a finite number"),
            ([True, 0.0], "of arm 0 must be a finite number"),
            ({"maths": 1.0}, "names the arm 'maths'; name arms by their number"),
            ({0: 0.5, "0": 0.5}, "names the arm 0 twice"),
            ({-1: 1.0}, "names the arm -1"),
            ("0.5,0.5", "must be a mapping of arms, or a list"),
            (1.0, "must be a mapping of arms, or a list"),
        ],
    )
    def test_weights_that_are_no_mixture_are_refused(self, weights, match):
        with pytest.raises(SparftError, match=rf"^sparft\.curriculum\.weights.*{match}"):
            MixtureCurriculum(weights=weights)

    @pytest.mark.parametrize("arm", [1, 3])
    def test_an_arm_without_prompts_is_refused_by_name(self, arm):
        match = rf"gives arm {arm} the weight 0.5, but it has no prompts; .* are \[0, 2\]"
        with pytest.raises(SparftError, match=match):
            self.started(2, 0, 2, weights={0: 0.5, arm: 0.5})


class TestFit:
    def test_worked_by_hand(self):
        # Scores at 0, 1/2 and 1 of arm 0 are 0, 1 and 0.4. The parabola through them, a + b w +
        # c w^2, has c = 2 (0 - 2 * 1 + 0.4) = -3.2, b = 0.4 + 3.2 = 3.6: its top is at 3.6 / 6.4.
        best = fit_mixture([[0, 1], [0.5, 0.5], [1, 0]], [0.0, 1.0, 0.4])
        assert best == pytest.approx([0.5625, 0.4375])

    def test_arms_that_help_each_other_are_mixed_and_a_useless_one_is_left_out(self):
        # score = a + b.w + w'Cw: arms 0 and 1 gain from each other, arm 2 gains nothing.
        weights = lattice(3)
        scores = 0.1 + weights @ [0.3, 0.3, 0.05] + 0.8 * weights[:, 0] * weights[:, 1]
        assert fit_mixture(weights, scores) == pytest.approx([0.5, 0.5, 0], abs=1e-9)

    @given(entries=st.lists(st.integers(-6, 6), min_size=10, max_size=10), arms=st.integers(2, 4))
    def test_nothing_on_a_fine_grid_is_better_than_the_maximum(self, entries, arms):
        form = np.zeros((arms, arms))
        upper = np.triu_indices(arms)
        form[upper] = entries[: len(upper[0])]
        form = (form + form.T) / 2
        best = maximise(form)
        assert best.min() >= 0
        assert best.sum() == pytest.approx(1)
        points = lattice(arms, 12)
        values = np.einsum("ni,ij,nj->n", points, form, points)
        assert best @ form @ best >= values.max() - 1e-9

    def test_too_few_pilot_runs_are_refused_unless_there_is_a_ridge(self):
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
    def test_bad_pilot_runs_are_refused(self, weights, scores, ridge, match):
        with pytest.raises(SparftError, match=match):
            fit_mixture(weights, scores, ridge)
