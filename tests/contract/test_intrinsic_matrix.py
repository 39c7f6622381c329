"""What every registered intrinsic reward must do, whatever it computes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup
from sparft_plugin.plugins import build, lookup, registered

NAMES = sorted(registered("intrinsic reward"))
DIMENSION = 8


def make(name: str, **options) -> IntrinsicReward:
    return build("intrinsic reward", name, {"encoder": "matrix", **options})


def steps(count: int, seed: int = 0) -> list[list[MemoryGroup]]:
    """Steps of groups of 1 to 6 rollouts; a prompt may come twice in a step."""
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(6, DIMENSION)).astype(np.float32)
    return [
        [
            MemoryGroup(
                f"prompt-{prompt}",
                queries[prompt],
                rng.normal(size=(size, DIMENSION)).astype(np.float32),
                rng.choice([0.0, 0.3, 1.0], size=size),
            )
            for prompt, size in zip(
                rng.integers(6, size=5), rng.integers(1, 7, size=5), strict=True
            )
        ]
        for _ in range(count)
    ]


def written(name: str, history: list[list[MemoryGroup]]) -> IntrinsicReward:
    memory = make(name)
    for groups in history:
        memory.write(groups)
    return memory


def totals(memory: IntrinsicReward, groups: list[MemoryGroup]) -> list[list[float]]:
    return [terms.total.tolist() for terms in memory.score(groups)]


def test_the_built_in_methods_are_registered():
    assert {"memory_r", "memory_r_plus"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestIntrinsicReward:
    def test_is_a_dataclass_of_the_contract_under_its_own_name(self, name):
        cls = lookup("intrinsic reward", name)
        assert issubclass(cls, IntrinsicReward)
        assert dataclasses.is_dataclass(cls)
        assert cls.name == name

    def test_an_unknown_option_is_refused_by_name(self, name):
        with pytest.raises(SparftError, match="'neighbours'"):
            make(name, neighbours=1)

    def test_terms_have_one_finite_value_per_rollout(self, name):
        *history, groups = steps(60)
        memory = written(name, history)
        scored = memory.score(groups)
        assert len(scored) == len(groups)
        for terms, group in zip(scored, groups, strict=True):
            for values in (terms.exploit, terms.explore, terms.total):
                assert values.shape == group.accuracies.shape
                assert values.dtype == np.float64
                assert np.isfinite(values).all()
            assert 0 <= terms.exploit.min() <= terms.exploit.max() <= 1
            assert 0 <= terms.explore.min() <= terms.explore.max() <= 1
        assert np.ptp(np.concatenate([terms.total for terms in scored])) > 0

    def test_scoring_reads_only(self, name):
        *history, groups = steps(3)
        memory = written(name, history)
        before = memory.dumps()
        assert totals(memory, groups) == totals(memory, groups)
        assert memory.dumps() == before

    def test_a_groups_terms_do_not_depend_on_its_neighbours_in_the_step(self, name):
        *history, groups = steps(60)
        memory = written(name, history)
        together = totals(memory, groups)
        assert together == [totals(memory, [group])[0] for group in groups]
        assert together == totals(memory, groups[::-1])[::-1]

    def test_the_order_of_groups_does_not_change_what_is_remembered(self, name):
        history = [list({g.prompt_id: g for g in groups}.values()) for groups in steps(4)]
        backwards = [groups[::-1] for groups in history]
        assert written(name, history).dumps() == written(name, backwards).dumps()

    def test_what_is_written_does_not_depend_on_whether_it_was_scored(self, name):
        history = steps(4)
        memory = make(name)
        for groups in history:
            memory.score(groups)
            memory.write(groups)
        assert memory.dumps() == written(name, history).dumps()

    def test_a_saved_memory_continues_exactly(self, name):
        history = steps(60)
        straight, resumed = written(name, history[:52]), make(name)
        resumed.loads(straight.dumps())
        for groups in history[52:]:
            assert totals(resumed, groups) == totals(straight, groups)
            straight.write(groups)
            resumed.write(groups)
        assert resumed.dumps() == straight.dumps()
        assert resumed.metrics() == straight.metrics()

    def test_the_state_of_another_encoder_is_refused(self, name):
        data = written(name, steps(1)).dumps()
        with pytest.raises(SparftError, match="encoder"):
            make(name, encoder="other").loads(data)

    def test_metrics_are_relative_names_with_plain_numbers(self, name):
        metrics = written(name, steps(2)).metrics()
        assert {"success", "failure", "queries", "bytes"} <= set(metrics)
        for key, value in metrics.items():
            assert "/" not in key
            assert type(value) is float
        assert metrics["success"] > 0
        assert metrics["queries"] > 0
        assert metrics["bytes"] > 0
