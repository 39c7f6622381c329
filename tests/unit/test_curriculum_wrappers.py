"""Wrappers: what each promises, worked by hand and as properties over long runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Curriculum, Outcome, Prompt
from sparft_plugin.curriculum.uniform import UniformCurriculum
from sparft_plugin.curriculum.wrappers import Retest, ShareFloor
from sparft_plugin.errors import SparftError


@dataclass(eq=False)
class Greedy(Curriculum):
    """Always the first prompts of the pool, which all belong to the first arms."""

    learned: int = field(init=False, default=0)

    def begin(self):
        self.learned = 0

    def choose(self, n):
        return np.arange(n) % len(self.pool)

    def learn(self, groups):
        self.learned += len(groups)


def pool(*sizes):
    return [Prompt(f"{arm}-{i:02}", arm) for arm, size in enumerate(sizes) for i in range(size)]


def told(pick, accuracies):
    accuracies = np.array(accuracies, dtype=np.float64)
    return Outcome(pick, accuracies, accuracies - accuracies.mean())


def ids(picks):
    return [pick.prompt.id for pick in picks]


def arms(picks, count):
    return np.bincount([pick.prompt.arm for pick in picks], minlength=count).tolist()


class TestShareFloor:
    def test_batches_by_hand(self):
        # Greedy gives arm 0 alone. floor 0.1, no window, batches of 4: debts to arm 1 of 0.4, 0.8,
        # 1.2 -> one forced pick in the third, 0.2 is left; to arm 0 none.
        curriculum = ShareFloor(Greedy(), floor=0.1, window=0).start(pool(8, 8))
        shares = [arms(curriculum.select(4), 2) for _ in range(3)]
        assert shares == [[4, 0], [4, 0], [3, 1]]
        assert curriculum.metrics()["share_floor/forced"] == 1
        assert curriculum.debt == pytest.approx([0, 0.2])
        # Its inner curriculum hears of forced picks.
        curriculum.observe([told(curriculum.pick(k), [1, 0]) for k in curriculum.outstanding])
        assert curriculum.inner.learned == 12

    def test_credit_lasts_for_the_window(self):
        # Arm 0 got 4 picks of 4: its credit is 0.25 * 4 - 4 = -3, but at most 0.25 * window.
        curriculum = ShareFloor(Greedy(), floor=0.25, window=8).start(pool(8, 8))
        curriculum.select(4)
        assert curriculum.debt.tolist() == [-2.0, 0.0]

    def test_the_same_picks_as_without_it_where_no_arm_lacks(self):
        plain = UniformCurriculum().start(pool(6, 6, 6), seed=1)
        floored = ShareFloor(UniformCurriculum(), floor=0.01).start(pool(6, 6, 6), seed=1)
        assert [plain.select(6) for _ in range(3)] == [floored.select(6) for _ in range(3)]

    @given(
        sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any),
        batches=st.lists(st.integers(1, 30), min_size=1, max_size=60),
        window=st.integers(0, 40),
        part=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
        seed=st.integers(0, 99),
    )
    def test_any_picks_in_a_row_hold_the_floor_of_every_arm(
        self, sizes, batches, window, part, seed
    ):
        prompts = pool(*sizes)
        floor = part / sum(size > 0 for size in sizes)
        curriculum = ShareFloor(Greedy(), floor, window).start(prompts, seed)
        count = curriculum.n_arms
        by_batch = []
        for n in batches:
            picks = curriculum.select(min(n, len(prompts)))
            assert len(set(ids(picks))) == len(picks)
            by_batch.append(arms(picks, count))
        # An arm that is smaller than what one batch owes it is excused.
        big = [a for a in range(count) if sizes[a] >= floor * 30 + 4]
        total = np.concatenate([np.zeros((1, count)), np.cumsum(by_batch, axis=0)])
        for start in range(len(batches)):
            got = total[start + 1 :] - total[start]
            due = floor * (got.sum(axis=1) - window) - 4
            assert (got[:, big] >= due[:, None]).all()

    def test_an_arm_smaller_than_its_floor_gives_what_it_has(self):
        curriculum = ShareFloor(Greedy(), floor=0.5, window=0).start(pool(9, 2))
        assert [arms(curriculum.select(8), 2) for _ in range(3)] == [[6, 2]] * 3
        assert curriculum.debt[1] == 2

    def test_floors_that_add_up_to_more_than_everything_are_refused(self):
        ShareFloor(Greedy(), floor=0.5).start(pool(3, 0, 3))
        with pytest.raises(SparftError, match=r"floor=0.5 promises 3 arms .* at most 0.3333\."):
            ShareFloor(Greedy(), floor=0.5).start(pool(3, 3, 0, 3))


class TestRetest:
    def started(self, *sizes, after=2, share=0.0, inner=Greedy):
        return Retest(inner(), after, share).start(pool(*sizes))

    def rounds(self, curriculum, n, *results):
        """Select and observe; a prompt of arm a gets the a-th accuracies of the round."""
        made = []
        for accuracies_of_arm in results:
            picks = curriculum.select(n)
            curriculum.observe([told(p, accuracies_of_arm[p.prompt.arm]) for p in picks])
            made.append(ids(picks))
        return made

    def test_two_unanimous_groups_in_a_row_retire_a_prompt(self):
        # Greedy asks for 0-00 and 0-01 for ever. Right twice: retired, so that others of the arm
        # come; those are mixed and stay.
        curriculum = self.started(4)
        assert self.rounds(curriculum, 2, [[1, 1]], [[1, 1]]) == [["0-00", "0-01"]] * 2
        assert curriculum.metrics()["retest/retired"] == 2
        assert set(ids(curriculum.select(2))) == {"0-02", "0-03"}
        assert curriculum.metrics()["retest/withheld"] == 2

    @pytest.mark.parametrize(
        ("results", "streak"),
        [
            ([[1, 1], [1, 1], [1, 1]], 3),
            ([[0, 0], [0, 0]], -2),
            ([[1, 1], [0, 0]], -1),
            ([[1, 1], [0, 1], [1, 1]], 1),
            ([[0.5, 0.5]], 0),
            ([[0]] * 200, -127),
        ],
    )
    def test_a_streak_counts_groups_that_were_unanimous_the_same_way(self, results, streak):
        curriculum = self.started(1, after=127)
        self.rounds(curriculum, 1, *[[result] for result in results])
        assert curriculum.streak.tolist() == [streak]

    def test_several_groups_of_a_prompt_in_one_observation_count_in_the_order_of_picks(self):
        curriculum = self.started(1, after=9)
        picks = curriculum.select(5)
        results = [[0, 0], [0, 1], [1, 1], [1, 1], [1, 1]]
        curriculum.observe([told(p, r) for p, r in zip(picks, results, strict=True)][::-1])
        assert curriculum.streak.tolist() == [3]

    def test_the_longest_waiting_are_tested_again_at_the_share(self):
        # All of arm 0 is retired after one round of 4; then half of every batch of 2 tests it.
        curriculum = self.started(4, 8, after=1, share=0.5)
        self.rounds(curriculum, 4, [[0, 0], [0, 1]])
        tested = []
        for _ in range(6):
            (batch,) = self.rounds(curriculum, 2, [[0, 0], [0, 1]])
            tested += [identity for identity in batch if identity.startswith("0")]
        assert tested == ["0-00", "0-01", "0-02", "0-03", "0-00", "0-01"]
        assert curriculum.metrics()["retest/retests"] == 6

    def test_a_mixed_retest_brings_a_prompt_back(self):
        curriculum = self.started(1, 4, after=1, share=0.5)
        self.rounds(curriculum, 1, [[0, 0], [0, 1]])
        assert curriculum.metrics()["retest/retired"] == 1
        self.rounds(curriculum, 2, [[0, 1], [0, 1]])
        assert curriculum.metrics()["retest/retired"] == 0
        assert curriculum.metrics()["retest/returned"] == 1
        assert ids(curriculum.select(1)) == ["0-00"]

    def test_an_arm_keeps_its_picks_while_it_has_prompts_in_service(self):
        curriculum = self.started(6, 6, after=1)
        self.rounds(curriculum, 2, [[1, 1], [0, 1]])
        assert arms(curriculum.select(2), 2) == [2, 0]

    def test_retired_prompts_fill_a_batch_that_nothing_else_can(self):
        curriculum = self.started(4, after=1)
        self.rounds(curriculum, 3, [[1, 1]])
        assert sorted(ids(curriculum.select(4))) == ["0-00", "0-01", "0-02", "0-03"]

    def test_no_credit_is_saved_up_while_nothing_is_retired(self):
        curriculum = self.started(2, 40, after=1, share=0.1)
        for _ in range(50):
            curriculum.select(10)
        assert curriculum.credit == 0

    @given(seed=st.integers(0, 999), after=st.integers(1, 3), share=st.sampled_from([0, 0.1, 1]))
    def test_the_counters_add_up_over_random_histories(self, seed, after, share):
        rng = np.random.default_rng(seed)
        curriculum = Retest(UniformCurriculum(), after, share).start(pool(5, 9), seed)
        history: dict[str, list[int]] = {}
        for _ in range(30):
            retired = {curriculum.pool.ids[i].decode() for i in np.flatnonzero(curriculum.retired)}
            # The oracle: the last `after` groups of a prompt were unanimous alike.
            assert retired == {
                identity
                for identity, signs in history.items()
                if len(signs) >= after and abs(sum(signs[-after:])) == after
            }
            before = curriculum.metrics()["retest/retests"]
            picks = curriculum.select(4)
            tested = curriculum.metrics()["retest/retests"] - before
            if len(retired) <= 10:
                assert len(retired & set(ids(picks))) == tested
            outcomes = [
                told(p, rng.choice([[1, 1], [0, 0], [0, 1]], p=[0.4, 0.4, 0.2])) for p in picks
            ]
            for pick, outcome in zip(picks, outcomes, strict=True):
                sign = {1.0: 1, 0.0: -1}.get(outcome.pass_rate, 0)
                history.setdefault(pick.prompt.id, []).append(sign)
            curriculum.observe(outcomes)


def test_layers_are_nested_in_the_state_and_share_one_ledger_and_one_generator():
    curriculum = ShareFloor(Retest(Greedy()), 0.1).start(pool(3, 3))
    state = curriculum.state_dict()
    inner = state["inner"]
    assert [one["method"] for one in (state, inner, inner["inner"])] == [
        "ShareFloor(Retest(Greedy))",
        "Retest(Greedy)",
        "Greedy",
    ]
    assert list(state["by_arm"]) == ["debt"]
    assert list(inner["by_prompt"]) == ["streak", "chosen_at"]
    innermost = curriculum.inner.inner
    assert innermost.ledger is curriculum.ledger
    assert innermost.rng is curriculum.rng


def config(**options):
    section = {"curriculum": {"name": "uniform", **options}}
    return SparftConfig.from_mapping(section).build_curriculum()


def test_a_config_names_wrappers_by_their_first_option_or_by_a_section_and_null_is_none():
    assert isinstance(config(share_floor=None, retest=None), UniformCurriculum)
    built = config(share_floor=0.02, retest=5)
    assert (type(built), type(built.inner)) == (ShareFloor, Retest)
    assert (built.floor, built.window) == (0.02, 256)
    assert (built.inner.after, built.inner.share) == (5, 0.05)
    built = config(share_floor={"floor": 0.1, "window": 8}, retest={"share": 0.5})
    assert (built.floor, built.window) == (0.1, 8)
    assert (built.inner.after, built.inner.share) == (3, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share_floor": {"flor": 0.1}}, "option of sparft.curriculum.share_floor 'flor'"),
        ({"share_floor": {"window": 8}}, "share_floor needs its option 'floor'"),
        ({"retest": {"inner": None}}, "option of sparft.curriculum.retest 'inner'"),
        ({"retest": 0}, "sparft.curriculum.retest.after must be"),
    ],
)
def test_a_wrong_section_is_refused_by_name(options, message):
    with pytest.raises(SparftError, match=message):
        config(**options)
