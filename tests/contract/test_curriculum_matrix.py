"""What every registered curriculum must do, whatever its rule is."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparft_plugin.curriculum import Curriculum, Outcome, Pick, Prompt
from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered

NAMES = sorted(registered("curriculum"))

# Arm 2 has no prompts; arms differ in size.
POOL = tuple(
    Prompt(f"prompt-{arm}-{i}", arm, difficulty=(i + arm) / 10)
    for arm, size in enumerate([4, 2, 0, 5])
    for i in range(size)
)

moves = st.lists(
    st.tuples(st.sampled_from(["select", "observe", "expire"]), st.integers(1, 7)), max_size=15
)


def make(name: str, seed: int = 0, pool=POOL) -> Curriculum:
    return build("curriculum", name).start(pool, seed)


def outcome(pick: Pick) -> Outcome:
    """A group whose accuracies depend on the pick alone."""
    rng = np.random.default_rng(pick.pick_id)
    accuracies = rng.integers(0, 2, size=rng.integers(1, 6)).astype(np.float64)
    return Outcome(pick, accuracies, accuracies - accuracies.mean())


def play(curriculum: Curriculum, moves) -> list[Pick]:
    """Select, observe the latest outstanding picks first, let the earliest expire."""
    made = []
    for move, n in moves:
        waiting = [curriculum.pick(pick_id) for pick_id in sorted(curriculum.outstanding)]
        if move == "select":
            made += curriculum.select(n)
        elif move == "observe":
            curriculum.observe([outcome(pick) for pick in waiting[::-1][:n]])
        else:
            curriculum.expire([pick.pick_id for pick in waiting[:n]])
    return made


LIFE = [("select", 9), ("observe", 4), ("select", 6), ("expire", 2), ("observe", 5), ("select", 3)]


def lived(name: str, seed: int = 0) -> Curriculum:
    curriculum = make(name, seed)
    play(curriculum, LIFE)
    return curriculum


def as_json(state: dict) -> dict:
    return json.loads(json.dumps(state, allow_nan=False))


def test_the_built_in_methods_are_registered():
    assert {"sparft", "uniform"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestCurriculum:
    def test_is_a_dataclass_of_the_contract(self, name):
        cls = lookup("curriculum", name)
        assert issubclass(cls, Curriculum)
        assert dataclasses.is_dataclass(cls)

    def test_an_unknown_option_is_refused_by_name(self, name):
        with pytest.raises(SparftError, match=f"option of the curriculum '{name}' 'nonsense'"):
            build("curriculum", name, {"nonsense": 1})

    @pytest.mark.parametrize("n", [1, 2, 11, 50])
    def test_select_gives_exactly_n_prompts_of_the_pool(self, name, n):
        picks = make(name).select(n)
        assert [pick.pick_id for pick in picks] == list(range(n))
        assert {pick.prompt for pick in picks} <= set(POOL)

    @given(moves=moves, seed=st.integers(0, 2**32))
    @settings(deadline=None, max_examples=25)
    def test_the_same_seed_and_history_give_the_same_picks_and_state(self, name, moves, seed):
        one, other = make(name, seed), make(name, seed)
        assert play(one, moves) == play(other, moves)
        assert one.state_dict() == other.state_dict()

    def test_different_seeds_give_different_picks(self, name):
        runs = {tuple(pick.prompt.id for pick in make(name, s).select(40)) for s in range(5)}
        assert len(runs) == 5

    def test_global_random_state_does_not_matter(self, name):
        np.random.seed(1)  # noqa: NPY002
        one = play(make(name), LIFE)
        np.random.seed(2)  # noqa: NPY002
        assert play(make(name), LIFE) == one

    @given(order=st.permutations(POOL))
    @settings(deadline=None, max_examples=25)
    def test_the_order_of_the_pool_does_not_matter(self, name, order):
        one, other = make(name), make(name, pool=order)
        assert play(one, LIFE) == play(other, LIFE)
        assert one.state_dict() == other.state_dict()

    @given(order=st.permutations(range(12)))
    @settings(deadline=None, max_examples=25)
    def test_the_order_of_groups_in_an_observation_does_not_matter(self, name, order):
        one, other = make(name), make(name)
        outcomes = [outcome(pick) for pick in one.select(12)]
        other.select(12)
        one.observe(outcomes)
        other.observe([outcomes[i] for i in order])
        assert one.state_dict() == other.state_dict()
        assert one.select(20) == other.select(20)

    @given(before=moves, after=moves, seed=st.integers(0, 2**32))
    @settings(deadline=None, max_examples=60)
    def test_a_saved_state_continues_exactly(self, name, before, after, seed):
        straight = make(name, seed)
        play(straight, before)
        resumed = make(name, seed + 1)
        resumed.load_state_dict(as_json(straight.state_dict()))
        assert resumed.state_dict() == straight.state_dict()
        assert play(resumed, after) == play(straight, after)
        assert resumed.state_dict() == straight.state_dict()
        assert resumed.metrics() == straight.metrics()
        assert resumed.select(20) == straight.select(20)

    def test_a_state_replaces_all_that_happened_before_it_is_loaded(self, name):
        used, fresh = lived(name, seed=5), make(name)
        play(used, LIFE)
        state = as_json(lived(name).state_dict())
        for curriculum in (used, fresh):
            curriculum.load_state_dict(state)
        assert used.state_dict() == fresh.state_dict() == state
        assert play(used, LIFE) == play(fresh, LIFE)

    def test_a_state_is_a_snapshot_that_later_moves_leave_alone(self, name):
        curriculum = lived(name)
        state = curriculum.state_dict()
        kept = copy.deepcopy(state)
        play(curriculum, LIFE)
        assert state == kept

    def test_a_loaded_state_is_not_written_to(self, name):
        state = as_json(lived(name).state_dict())
        kept = copy.deepcopy(state)
        curriculum = make(name)
        curriculum.load_state_dict(state)
        play(curriculum, LIFE)
        assert state == kept

    def refuse(self, name, state, match):
        """Load and expect a refusal that leaves the curriculum as it was."""
        curriculum = lived(name, seed=1)
        before = curriculum.state_dict()
        with pytest.raises(SparftError, match=match):
            curriculum.load_state_dict(state)
        assert curriculum.state_dict() == before

    def test_every_missing_key_is_refused_by_name(self, name):
        state = lived(name).state_dict()
        for key in state:
            rest = {other: value for other, value in state.items() if other != key}
            self.refuse(name, rest, rf"missing keys \['{key}'\] and unknown keys \[\]")

    @pytest.mark.parametrize("part", ["by_arm", "by_prompt", "rule"])
    def test_every_missing_key_of_the_rule_is_refused_by_name(self, name, part):
        state = lived(name).state_dict()
        for key in state[part]:
            rest = {other: value for other, value in state[part].items() if other != key}
            self.refuse(name, state | {part: rest}, rf"missing keys \['{key}'\]")

    def test_an_unknown_key_is_refused_by_name(self, name):
        state = lived(name).state_dict()
        self.refuse(name, state | {"novel": 1}, r"unknown keys \['novel'\]")
        rule = state["rule"] | {"novel": 1}
        self.refuse(name, state | {"rule": rule}, r"unknown keys \['novel'\]")

    def test_the_state_of_every_other_method_is_refused_by_name(self, name):
        mine = lookup("curriculum", name).__name__
        for other in set(NAMES) - {name}:
            written = lookup("curriculum", other).__name__
            match = f"written by {written}, the config asks for {mine}"
            self.refuse(name, lived(other).state_dict(), match)

    def test_a_state_of_another_pool_is_mapped_by_id_and_reported(self, name):
        grown = [*POOL[1:], Prompt("new-1", 0, 0.5), Prompt("new-2", 1, 0.5)]
        old, curriculum = lived(name), make(name, pool=grown)
        report = curriculum.load_state_dict(as_json(old.state_dict()))
        assert report.endswith(f"{len(POOL) - 1} kept, 2 new, 1 gone.")
        gone = POOL[0].id
        still = {k for k in old.outstanding if old.pick(k).prompt.id != gone}
        assert set(curriculum.outstanding) == still
        assert all(curriculum.pick(k).prompt == old.pick(k).prompt for k in still)
        assert curriculum.expired == old.expired + len(old.outstanding) - len(still)
        assert curriculum.next_pick_id == old.next_pick_id
        curriculum.observe([outcome(curriculum.pick(k)) for k in still])
        assert len(curriculum.select(20)) == 20

    def test_arms_that_moved_start_afresh_and_are_reported(self, name):
        moved = [prompt._replace(arm=(prompt.arm + 1) % 4) for prompt in POOL]
        curriculum, fresh = make(name, pool=moved), make(name, pool=moved)
        report = curriculum.load_state_dict(as_json(lived(name).state_dict()))
        assert f"{len(POOL)} moved to another arm" in report
        assert curriculum.state_dict()["by_arm"] == fresh.state_dict()["by_arm"]
        assert len(curriculum.select(20)) == 20

    def test_the_same_pool_is_loaded_without_a_word(self, name):
        assert make(name).load_state_dict(as_json(lived(name).state_dict())) is None

    @pytest.mark.parametrize("n", [1, 5, 11])
    def test_no_prompt_comes_twice_in_a_batch_that_the_pool_can_fill(self, name, n):
        curriculum = make(name)
        for _ in range(20):
            picks = curriculum.select(n)
            assert len({pick.prompt.id for pick in picks}) == n
            curriculum.observe([outcome(pick) for pick in picks])

    def test_a_single_prompt_is_a_pool(self, name):
        curriculum = make(name, pool=[Prompt("only", 0, 0.5)])
        picks = curriculum.select(3)
        curriculum.observe([outcome(pick) for pick in picks])
        assert {pick.prompt.id for pick in picks + curriculum.select(2)} == {"only"}

    def test_only_the_pools_arms_are_drawn(self, name):
        assert {pick.prompt.arm for pick in make(name).select(300)} <= {0, 1, 3}

    @given(moves=moves)
    @settings(deadline=None, max_examples=25)
    def test_metrics_are_relative_names_with_finite_floats_that_add_up(self, name, moves):
        curriculum = make(name)
        made = play(curriculum, moves)
        metrics = curriculum.metrics()
        for key, value in metrics.items():
            assert not key.startswith(("sparft", "curriculum", "/"))
            assert type(value) is float
            assert math.isfinite(value)
        by_arm = defaultdict(int)
        for pick in made:
            by_arm[pick.prompt.arm] += 1
        assert [metrics[f"arm_{arm}/picks"] for arm in range(4)] == [by_arm[a] for a in range(4)]
        assert metrics["picks"] == len(made)
        assert metrics["unique_prompts"] == len({pick.prompt.id for pick in made})

    def test_reading_metrics_and_state_changes_nothing(self, name):
        read, unread = lived(name), lived(name)
        for _ in range(3):
            read.metrics()
            read.state_dict()
        assert read.state_dict() == unread.state_dict()
        assert read.select(30) == unread.select(30)
