"""Prompt-level methods against worked numbers and prompt-by-prompt oracles."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import PromptPool
from sparft_plugin.curriculum.adarft import AdarftCurriculum
from sparft_plugin.curriculum.bots import BotsCurriculum
from sparft_plugin.curriculum.gain_rl import GainRLCurriculum
from sparft_plugin.curriculum.mopps import MoppsCurriculum
from sparft_plugin.curriculum.pcl import PclCurriculum
from sparft_plugin.errors import SparftError
from tests.unit.prompt_data import even, group, ids, pool, teach, write_lines


class TestAdarft:
    def test_worked_by_hand(self):
        curriculum = AdarftCurriculum(start_difficulty=0.2).start(even(11))
        # All right: T = 0.2 + 0.5 tanh(2 (1 - 0.5)) = 0.2 + 0.5 * 0.761594.
        # A quarter right: 0.580797 - 0.5 * 0.462117. None right: below 0, where the target stops.
        for right, target in ((4, 0.580797), (1, 0.349738), (0, 0.0)):
            curriculum.observe([group(curriculum.select(1)[0], right, 4)])
            assert curriculum.target == pytest.approx(target, abs=1e-6)
        assert curriculum.metrics()["target_difficulty"] == 0.0

    def test_the_reward_is_the_mean_over_rollouts_not_over_groups(self):
        curriculum = AdarftCurriculum(start_difficulty=0.5).start(even(11))
        one, other = curriculum.select(2)
        curriculum.observe([group(one, 1, 1), group(other, 1, 3)])
        # Two of four rollouts are right, so the target stands still; the mean of groups is 2/3.
        assert curriculum.target == pytest.approx(0.5)

    @given(
        difficulties=st.lists(st.floats(0, 1), min_size=3, max_size=12),
        target=st.floats(0, 1),
        n=st.integers(1, 3),
    )
    def test_a_batch_is_the_nearest_prompts(self, difficulties, target, n):
        curriculum = AdarftCurriculum(start_difficulty=target).start(pool(*difficulties))
        got = sorted(abs(pick.prompt.difficulty - target) for pick in curriculum.select(n))
        assert got == sorted(abs(d - target) for d in difficulties)[:n]

    @pytest.mark.parametrize(
        ("rest", "firsts"), [(0.5, [0, 5, 10, 0]), (0, [0, 0, 0, 0]), (1.0, [0, 5, 10, 15])]
    )
    def test_picked_prompts_rest_for_a_share_of_the_pool(self, rest, firsts):
        curriculum = AdarftCurriculum(rest=rest).start(even(20))
        for first in firsts:
            nearest = {f"p{i:02}" for i in range(first, first + 5)}
            assert set(ids(curriculum.select(5))) == nearest

    def test_a_batch_that_needs_resting_prompts_takes_those_that_rested_longest(self):
        curriculum = AdarftCurriculum(rest=1.0).start(even(6))
        early, late = set(ids(curriculum.select(2))), set(ids(curriculum.select(3)))
        batch = set(ids(curriculum.select(3)))
        assert early <= batch
        assert not late & batch

    def test_equal_difficulties_are_drawn_by_chance(self):
        equal = [AdarftCurriculum().start(pool(*[0.3] * 8), seed) for seed in range(60)]
        assert len({ids(curriculum.select(1))[0] for curriculum in equal}) == 8


class TestMopps:
    def test_worked_by_hand(self):
        curriculum = MoppsCurriculum(decay=0.5).start(even(3))
        # p00 from Beta(1, 1): a = 0.5 + 0.5 + 3 = 4, b = 0.5 + 0.5 + 1 = 2.
        teach(curriculum, ("p00", 3, 4))
        # p00 again: a = 2 + 0.5 + 0, b = 1 + 0.5 + 4; p01: a = 1 + 2, then 1.5 + 0.5 + 1.
        teach(curriculum, ("p00", 0, 4), ("p01", 2, 2))
        teach(curriculum, ("p01", 1, 2))
        assert curriculum.right.tolist() == [2.5, 3, 1]
        assert curriculum.wrong.tolist() == [5.5, 2, 1]
        means = (2.5 / 8 + 3 / 5 + 1 / 2) / 3
        assert curriculum.metrics()["posterior_mean"] == pytest.approx(means)

    def test_two_groups_of_a_prompt_fade_it_once(self):
        curriculum = MoppsCurriculum(decay=0.5).start(even(1))
        one, other = curriculum.select(2)
        curriculum.observe([group(one, 1, 4), group(other, 2, 4)])
        assert curriculum.right.tolist() == [0.5 + 0.5 + 3]
        assert curriculum.wrong.tolist() == [0.5 + 0.5 + 5]

    @given(seed=st.integers(0, 2**32), n=st.integers(1, 8), target=st.floats(0, 1))
    def test_picks_equal_a_naive_choice_on_the_same_random_numbers(self, seed, n, target):
        curriculum = MoppsCurriculum(target=target, candidates=None).start(even(9), seed)
        teach(curriculum, ("p01", 4, 4), ("p05", 0, 8), ("p07", 3, 6))
        rng = np.random.default_rng()
        rng.bit_generator.state = curriculum.rng.bit_generator.state
        picks = set(ids(curriculum.select(n)))
        drawn = [rng.beta(a, b) for a, b in zip(curriculum.right, curriculum.wrong, strict=True)]
        nearest = sorted(range(9), key=lambda i: (drawn[i] - target) ** 2)[:n]
        assert picks == {f"p{i:02}" for i in nearest}

    def test_prompts_known_to_be_half_solved_are_preferred(self):
        curriculum = MoppsCurriculum(candidates=None).start(even(30))
        teach(curriculum, *[(f"p{i:02}", [0, 100, 50][i % 3], 100) for i in range(30)])
        assert {int(name[1:]) % 3 for name in ids(curriculum.select(10))} == {2}
        assert curriculum.metrics()["near_target"] == pytest.approx(1 / 3)


class TestBots:
    @pytest.fixture
    def reference(self, tmp_path):
        """A file with (weak, strong) of p00, p01, ..."""

        def write(*rates):
            lines = [{"id": f"p{i:02}", "weak": w, "strong": s} for i, (w, s) in enumerate(rates)]
            return write_lines(tmp_path / "reference.jsonl", *lines)

        return write

    def test_own_evidence_alone_worked_by_hand(self):
        curriculum = BotsCurriculum(lam=0.1).start(even(3))
        # p00: a = 0.9 + 0.1 + 3 = 4, b = 0.9 + 0.1 + 1 = 2; others stay at 1, to which all fades.
        teach(curriculum, ("p00", 3, 4))
        # p00 fades: a = 3.6 + 0.1, b = 1.8 + 0.1; p02: a = 1, b = 1 + 4.
        teach(curriculum, ("p02", 0, 4))
        assert curriculum.right == pytest.approx([3.7, 1, 1])
        assert curriculum.wrong == pytest.approx([1.9, 1, 5])
        assert "ability" not in curriculum.metrics()

    def test_models_that_solve_a_batch_alike_say_nothing_of_the_ability(self, reference):
        curriculum = BotsCurriculum(reference=reference((0.2, 0.6), (0.5, 0.5))).start(even(2))
        # c = (0.5 - 0.2) / (0.6 - 0.2) = 0.75.
        teach(curriculum, ("p00", 2, 4))
        teach(curriculum, ("p01", 4, 4))
        assert curriculum.metrics()["ability"] == pytest.approx(0.75)
        assert curriculum.metrics()["reference_prompts"] == 2
        # A second pool reads the file anew.
        assert curriculum.start(even(1)).models.shape == (2, 1)

    def test_many_steps_equal_an_oracle_that_goes_prompt_by_prompt(self, reference):
        rng = np.random.default_rng(3)
        n, lam, rho, m, momentum = 12, 0.2, 0.3, 5, 0.7
        rates = [(w, min(1.0, w + g)) for w, g in rng.random((n, 2)).tolist()]
        options = {"lam": lam, "rho": rho, "m": m, "momentum": momentum}
        curriculum = BotsCurriculum(reference=reference(*rates[:-1]), **options).start(even(n))
        a, b, ability = [1.0] * n, [1.0] * n, None
        for _ in range(8):
            chosen = rng.choice(n, size=4, replace=False).tolist()
            right = {i: int(rng.integers(0, 7)) for i in chosen}
            teach(curriculum, *[(f"p{i:02}", right[i], 6) for i in chosen])
            known = [i for i in chosen if i < n - 1]
            weak, strong = np.mean([rates[i] for i in known], axis=0)
            now = (np.mean([right[i] / 6 for i in known]) - weak) / (strong - weak)
            ability = now if ability is None else momentum * ability + (1 - momentum) * now
            for i in range(n):
                a[i], b[i] = (1 - lam) * a[i] + lam, (1 - lam) * b[i] + lam
                if i in right:
                    q, own = right[i] / 6, (right[i], 6 - right[i])
                elif i < n - 1:
                    low, high = rates[i]
                    q, own = min(1.0, max(0.0, low + ability * (high - low))), (0, 0)
                else:
                    continue
                a[i] += (1 - rho) * own[0] + rho * m * q
                b[i] += (1 - rho) * own[1] + rho * m * (1 - q)
        assert curriculum.ability == pytest.approx(ability, rel=1e-6)
        assert curriculum.right == pytest.approx(a, rel=1e-5)
        assert curriculum.wrong == pytest.approx(b, rel=1e-5)

    def test_prompts_that_the_models_solve_half_are_preferred_before_they_were_drawn(
        self, reference
    ):
        path = reference(*[(0.0, 0.0) if i % 2 else (0.0, 1.0) for i in range(40)])
        curriculum = BotsCurriculum(reference=path, m=1000).start(even(40))
        for _ in range(5):
            teach(curriculum, ("p00", 4, 8))
        assert {int(name[1:]) % 2 for name in ids(curriculum.select(10))} == {0}

    def test_a_file_of_other_prompts_or_of_percents_is_refused(self, reference, tmp_path):
        other = write_lines(tmp_path / "r.jsonl", {"id": "else", "weak": 0, "strong": 1})
        with pytest.raises(SparftError, match="knows none of the 2 prompts"):
            BotsCurriculum(reference=other).start(even(2))
        with pytest.raises(SparftError, match=r"pass rate outside \[0, 1\]"):
            BotsCurriculum(reference=reference((0.5, 60))).start(even(2))


class TestGainRL:
    @pytest.fixture
    def started(self, tmp_path):
        """Over prompts with these angles, the first that of p00."""

        def start(*angles, size=None, **options):
            lines = [{"id": f"p{i:02}", "angle": angle} for i, angle in enumerate(angles)]
            path = write_lines(tmp_path / "angles", {"format": "sparft angles 1"}, *lines)
            made = GainRLCurriculum(angles=path, **{"corpus": None, **options})
            return made.start(even(size or len(angles)))

        return start

    def test_prompts_are_ranked_by_angle_highest_first_and_anew_for_a_second_pool(self, started):
        curriculum = started(0.2, 0.9, 0.5)
        assert curriculum.rank.tolist() == [2, 0, 1]
        assert curriculum.start(even(2)).rank.tolist() == [1, 0]

    def test_worked_by_hand(self, started):
        curriculum = started(*[0.5, 0.25] + [0.0] * 48, n=10)
        # p00, all right: 10 tanh(2 (1 - 0.5)) + 10 tanh(2 * 0.5) = 7.615942 + 7.615942.
        teach(curriculum, ("p00", 4, 4))
        assert curriculum.mean == pytest.approx(15.231883, abs=1e-6)
        # p00 and p01, 1 of 4 rollouts: 10 tanh(-0.5) + 10 tanh(2 * 0.375) = -4.621172 + 6.351490.
        teach(curriculum, ("p00", 1, 2), ("p01", 0, 2))
        # p02, none right, angle 0: -7.6 is no move back.
        teach(curriculum, ("p02", 0, 4))
        assert curriculum.mean == pytest.approx(15.231883 + 1.730318, abs=1e-6)
        assert curriculum.metrics()["mean_rank_share"] == pytest.approx(16.962201 / 49, abs=1e-6)

    def test_the_mean_stays_inside_the_ranks_which_scale_with_the_pool(self, started):
        small, plain = started(*[0.5] * 50, corpus=5000), started(*[0.5] * 50, n=5)
        for curriculum in (small, plain):
            teach(curriculum, ("p00", 3, 4))
        assert small.mean == pytest.approx(plain.mean)
        curriculum = started(*[1.0] * 6)
        teach(curriculum, ("p00", 4, 4))
        assert curriculum.mean == 5.0

    def test_prompts_are_drawn_as_often_as_the_gaussian_says(self, started):
        curriculum = started(3, 2, 1, 0, sigma=1.5)
        curriculum.mean = 1.0
        drawn = Counter(name for _ in range(6000) for name in ids(curriculum.select(1)))
        weights = np.exp(-((np.arange(4) - 1) ** 2) / (2 * 1.5**2))
        for rank, share in enumerate(weights / weights.sum()):
            deviation = math.sqrt(share * (1 - share) / 6000)
            assert drawn[f"p{rank:02}"] / 6000 == pytest.approx(share, abs=4 * deviation)

    def test_a_batch_is_a_weighted_draw_without_replacement(self, started):
        weights = np.exp(-0.5 * np.arange(3) ** 2)
        share = weights / weights.sum()
        # P({0, 1}) = p0 p1 / (1 - p0) + p1 p0 / (1 - p1)
        expected = share[0] * share[1] * (1 / (1 - share[0]) + 1 / (1 - share[1]))
        curriculum = started(2, 1, 0, sigma=1.0)
        hits = sum(set(ids(curriculum.select(2))) == {"p00", "p01"} for _ in range(6000))
        deviation = math.sqrt(expected * (1 - expected) / 6000)
        assert hits / 6000 == pytest.approx(expected, abs=4 * deviation)

    def test_a_prompt_without_an_angle_and_a_missing_file_are_refused_with_the_mend(self, started):
        with pytest.raises(SparftError, match=r"lacks 1 of 4 prompts, such as p03; .*sparft angl"):
            started(1, 2, 3, size=4)
        with pytest.raises(SparftError, match=r"\.angles='no.jsonl' must be .*sparft angles"):
            GainRLCurriculum(angles="no.jsonl")


class TestPcl:
    def started(self, embeddings, **options):
        embeddings = np.asarray(embeddings, dtype=np.float32)
        return PclCurriculum(**options).start(PromptPool.of(even(len(embeddings)), embeddings))

    def test_worked_by_hand(self):
        # One dimension: p00 at 0, p01 at 1, p02 at 2.
        curriculum = self.started([[0], [1], [2]], ridge=1.0)
        everyone = np.arange(3)
        assert curriculum.predict(everyone).tolist() == [0.5, 0.5, 0.5]
        # p00 and p02 have 1 and 0: centred x = -1, 1 and y = 0.5, -0.5, so w = -1 / (2 + 1).
        teach(curriculum, ("p00", 4, 4), ("p02", 0, 4))
        assert curriculum.predict(everyone) == pytest.approx([0.5 + 1 / 3, 0.5, 0.5 - 1 / 3])
        assert curriculum.metrics()["value_error"] == 0.5

    def test_the_fit_equals_the_closed_form_over_the_newest_groups(self):
        rng = np.random.default_rng(0)
        embeddings = rng.standard_normal((30, 4))
        curriculum = self.started(embeddings, buffer=10, ridge=0.3)
        seen, rates = [], []
        for _ in range(6):
            chosen = rng.choice(30, size=4, replace=False).tolist()
            right = rng.integers(0, 9, size=4).tolist()
            teach(curriculum, *[(f"p{i:02}", r, 8) for i, r in zip(chosen, right, strict=True)])
            # Groups are learned in the order of their picks.
            order = np.argsort([curriculum.recent[-4:].tolist().index(i) for i in chosen])
            seen += [chosen[i] for i in order]
            rates += [right[i] / 8 for i in order]
        # The intercept is not penalised.
        x, y = np.float32(embeddings)[seen[-10:]].astype(float), np.array(rates[-10:])
        x0, y0 = x - x.mean(axis=0), y - y.mean()
        weights = np.linalg.solve(x0.T @ x0 + 0.3 * np.eye(4), x0.T @ y0)
        assert curriculum.weights == pytest.approx(weights)
        assert curriculum.intercept == pytest.approx(y.mean() - x.mean(axis=0) @ weights)

    def test_predictions_stay_pass_rates(self):
        curriculum = self.started([[0], [1], [50], [-50]], ridge=1e-6)
        teach(curriculum, ("p00", 0, 4), ("p01", 4, 4))
        assert curriculum.predict(np.arange(4)) == pytest.approx([0, 1, 1, 0], abs=1e-4)

    def test_the_prompts_predicted_nearest_to_tau_are_kept(self):
        curriculum = self.started(np.linspace(0, 1, 21)[:, None], candidates=None, ridge=1e-6)
        teach(curriculum, *[(f"p{i:02}", i, 20) for i in range(21)])
        assert set(ids(curriculum.select(3))) == {"p09", "p10", "p11"}
        curriculum.tau = 0.1
        assert set(ids(curriculum.select(3))) == {"p01", "p02", "p03"}

    def test_a_changed_pool_keeps_the_model_and_another_width_is_fitted_anew(self):
        curriculum = self.started([[0], [1], [2]])
        teach(curriculum, ("p00", 4, 4), ("p02", 0, 4))
        state = json.loads(json.dumps(curriculum.state_dict()))
        smaller = self.started([[0], [1]])
        smaller.load_state_dict(state)
        assert smaller.weights == pytest.approx(curriculum.weights)
        assert (smaller.recent.tolist(), smaller.rates.tolist()) == ([0], [1.0])
        wider = self.started([[0, 5], [1, 5], [2, 5]])
        wider.load_state_dict(state)
        everyone = np.arange(3)
        assert wider.predict(everyone) == pytest.approx(curriculum.predict(everyone))
