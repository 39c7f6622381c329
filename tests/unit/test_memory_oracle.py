"""Both methods, both rules, against a second implementation in plain lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.memory_r_plus import MemoryRPlus
from sparft_plugin.testing.intrinsic_rewards import saved
from tests.unit.memory_oracle import Paper, Released, memory_groups, options, runs, warmups


def check_run(memory, oracle, steps):
    """Score and write step after step; terms and contents agree all along."""
    for groups in steps:
        for terms, (exploit, explore) in zip(
            memory.score(memory_groups(groups)), oracle.score(groups), strict=True
        ):
            np.testing.assert_allclose(terms.exploit, exploit, atol=1e-6)
            np.testing.assert_allclose(terms.explore, explore, atol=1e-6)
            np.testing.assert_allclose(terms.total, np.add(exploit, explore), atol=1e-6)
        memory.write(memory_groups(groups))
        oracle.write(groups)
        metrics = memory.metrics()
        assert metrics["success"] == sum(len(entry[2]) for entry in oracle.successes)
        if oracle.plus:
            assert metrics["failure"] == sum(len(entry[2]) for entry in oracle.failures)


@given(steps=runs(), options=options, normalize=st.sampled_from(["global", "per_query"]))
def test_memory_r_is_the_formula(steps, options, normalize):
    options["normalize"] = normalize
    check_run(MemoryR("oracle", **options), Paper(plus=False, **options), steps)


@given(
    steps=runs(),
    options=options,
    warmup=warmups,
    normalize=st.sampled_from(["global", "per_query"]),
)
def test_memory_r_plus_is_the_formulas(steps, options, warmup, normalize):
    options.update(warmup, normalize=normalize)
    check_run(MemoryRPlus("oracle", **options), Paper(plus=True, **options), steps)


@given(steps=runs(), options=options)
def test_memory_r_can_be_the_released_code(steps, options):
    memory = MemoryR("oracle", compat="released", **options)
    check_run(memory, Released(plus=False, **options), steps)


@given(steps=runs(), options=options, warmup=warmups)
def test_memory_r_plus_can_be_the_released_code(steps, options, warmup):
    options.update(warmup)
    memory = MemoryRPlus("oracle", compat="released", **options)
    check_run(memory, Released(plus=True, **options), steps)


@pytest.mark.parametrize("compat", ["paper", "released"])
@given(
    steps=runs(),
    cut=st.integers(0, 5),
    query_capacity=st.sampled_from([None, 2]),
    storage=st.sampled_from(["float32", "float16"]),
)
def test_a_saved_memory_goes_on_exactly_as_the_one_that_never_stopped(
    compat, steps, cut, query_capacity, storage
):
    chosen = {
        "query_capacity": query_capacity,
        "response_capacity": 3,
        "warmup_steps": 1,
        "compat": compat,
        "storage": storage,
    }
    straight = MemoryRPlus(encoder="oracle", **chosen)
    for groups in steps[:cut]:
        straight.write(memory_groups(groups))
    resumed = MemoryRPlus(encoder="oracle", **chosen)
    resumed.load_state_dict(straight.state_dict())
    for groups in steps[cut:]:
        for ours, theirs in zip(
            resumed.score(memory_groups(groups)), straight.score(memory_groups(groups)), strict=True
        ):
            np.testing.assert_array_equal(ours.total, theirs.total)
        straight.write(memory_groups(groups))
        resumed.write(memory_groups(groups))
    assert saved(resumed) == saved(straight)
    assert resumed.metrics() == straight.metrics()


@given(seed=st.integers(0, 2**32 - 1), compat=st.sampled_from(["paper", "released"]))
def test_half_precision_changes_little(seed, compat):
    """Directions of a real length; a coordinate is off by at most 1 part in 2048."""
    rng = np.random.default_rng(seed)
    whole, half = (
        MemoryRPlus("oracle", warmup_steps=0, storage=storage, compat=compat)
        for storage in ("float32", "float16")
    )
    unit = rng.normal(size=(8, 12, 32))
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    for step in unit:
        groups = memory_groups(
            [("a", step[0], [(row, float(i % 2)) for i, row in enumerate(step)])]
        )
        for ours, theirs in zip(half.score(groups), whole.score(groups), strict=True):
            np.testing.assert_allclose(ours.total, theirs.total, atol=0.02)
        whole.write(groups)
        half.write(groups)
