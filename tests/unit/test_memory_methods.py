"""Memory-R and Memory-R+: against a second implementation in plain lists, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.memory_r import MemoryR, stored_text
from sparft_plugin.memory.memory_r_plus import MemoryRPlus
from sparft_plugin.testing.intrinsic_rewards import saved, totals
from tests.unit.memory_oracle import Paper, Released, memory_groups, options, runs, warmups

XML = "<reasoning>\n2 + 2 is 4\n</reasoning>\n<answer>\n4\n</answer>"


def check_run(cls, oracle, steps, **chosen):
    """Score and write step after step; terms and contents agree all along."""
    memory = cls("oracle", **chosen)
    for groups in steps:
        for terms, (exploit, explore) in zip(
            memory.score(memory_groups(groups)), oracle.score(groups), strict=True
        ):
            np.testing.assert_allclose(terms.exploit, exploit, atol=1e-6)
            np.testing.assert_allclose(terms.explore, explore, atol=1e-6)
            np.testing.assert_allclose(terms.total, oracle.total(exploit, explore), atol=1e-6)
        memory.write(memory_groups(groups))
        oracle.write(groups)
        told = [oracle.successes, oracle.failures if oracle.plus else []]
        metrics = memory.metrics()
        assert [metrics["success"], metrics["failure"]] == [
            sum(len(entry[2]) for entry in entries) for entries in told
        ]
        assert metrics["queries"] == len({entry[0] for entries in told for entry in entries})
        assert memory.step == oracle.steps


@pytest.mark.parametrize("cls", [MemoryR, MemoryRPlus])
@given(
    steps=runs(),
    options=options,
    warmup=warmups,
    normalize=st.sampled_from(["global", "per_query"]),
    weights=st.sampled_from([(1.0, 1.0), (2.0, 0.5)]),
)
def test_both_are_the_formulas_and_can_be_the_released_code(
    cls, steps, options, warmup, normalize, weights
):
    plus = cls is MemoryRPlus
    options = options | (warmup if plus else {})
    oracle = Paper(plus=plus, weights=weights, normalize=normalize, **options)
    weighed = {"exploit_weight": weights[0]} | ({"explore_weight": weights[1]} if plus else {})
    check_run(cls, oracle, steps, normalize=normalize, **weighed, **options)
    check_run(cls, Released(plus=plus, **options), steps, compat="released", **options)


def group(prompt_id, responses, accuracies, query=(1, 0)):
    accuracies = np.array(accuracies, np.float64)
    return MemoryGroup(prompt_id, np.array(query), np.array(responses), accuracies)


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_what_is_written_does_not_depend_on_which_of_the_groups_were_scored(compat):
    rng = np.random.default_rng(4)
    plain, scoring = (MemoryRPlus("e", compat=compat, response_capacity=3) for _ in "ab")
    groups = [
        group(f"p{i % 4}", rng.normal(size=(4, 6)), rng.integers(2, size=4), rng.normal(size=6))
        for i in range(5)
    ]
    for _ in range(3):
        scoring.score(groups)
        scoring.score(groups[2:])
        scoring.write(groups)
        plain.write(groups)
        assert saved(scoring) == saved(plain)


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_half_precision_changes_little(compat):
    """Directions of a real length; a coordinate is off by at most 1 part in 2048."""
    rng = np.random.default_rng(0)
    options = {"warmup_steps": 0, "compat": compat}
    whole, half = (MemoryRPlus("e", storage=s, **options) for s in ("float32", "float16"))
    unit = rng.normal(size=(8, 12, 32))
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    for step in unit:
        groups = [group("a", step, np.arange(12) % 2, step[0])]
        np.testing.assert_allclose(totals(half, groups), totals(whole, groups), atol=0.02)
        whole.write(groups)
        half.write(groups)


@pytest.mark.parametrize(
    ("responses", "query", "word"),
    [
        ([[7e4, 0]], (1, 0), r"prompt 'b' is too large.*storage=float32"),
        ([[1, 0, 0]], (1, 0, 0), "'b' has 3 dimensions, the memory has 2.*'mini'"),
    ],
)
def test_what_the_memory_cannot_hold_is_refused_and_nothing_is_written(responses, query, word):
    memory = MemoryRPlus("mini", storage="float16", warmup_steps=0)
    memory.write([group("a", [[1, 0]], [1])])
    before = saved(memory)
    for action in (memory.score, memory.write):
        with pytest.raises(SparftError, match=word):
            action([group("a", [[1, 0]], [1]), group("b", responses, [0], query)])
    assert saved(memory) == before


def test_equal_and_zero_responses_are_each_remembered_and_zero_ones_counted():
    memory = MemoryR("e")
    memory.write([group("a", [[1, 0], [1, 0], [0, 0]], [1, 1, 1]), group("a", [[1, 0]], [1])])
    metrics = memory.metrics()
    assert (metrics["success"], metrics["zero_embeddings"]) == (4, 1)


@pytest.mark.parametrize(
    ("responses", "accuracies", "query", "word"),
    [
        ([[1, 0]], [1, 1], (1, 0), "accuracies must have shape"),
        ([[1, 0]], [1.5], (1, 0), "accuracies must lie"),
        ([[1, 0]], [np.nan], (1, 0), "accuracies must lie"),
        ([1, 0], [1], (1, 0), "responses must have shape"),
        (np.zeros((0, 2)), [], (1, 0), "not be empty"),
        ([[1, 0, 0]], [1], (1, 0), "3 dimensions and the query has 2"),
        ([[1, 0]], [1], [[1, 0]], "query must have shape"),
        ([[np.nan, 0]], [1], (1, 0), "prompt 'a': responses must be finite"),
        ([[1e39, 0]], [1], (1, 0), "prompt 'a': responses must be finite"),
        ([[1, 0]], [1], (np.inf, 0), "prompt 'a': query must be finite"),
    ],
)
def test_a_malformed_group_is_refused(responses, accuracies, query, word):
    with pytest.raises(SparftError, match=word):
        group("a", responses, accuracies, query=query)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("neighbors", [0, 1.0, True]),
        ("query_capacity", [0]),
        ("response_capacity", [0]),
        ("success_threshold", [1.0, -0.1]),
        ("window", [0]),
        ("exploit_weight", [float("nan"), float("inf")]),
        ("explore_weight", [-1.0, "1"]),
        ("warmup_steps", [-1]),
        ("warmup_failures", [-1, 0.5]),
        ("normalize", ["per_prompt"]),
        ("compat", ["release"]),
        ("stored", ["answer"]),
        ("storage", ["bfloat16", None]),
        ("encoder", [""]),
    ],
)
def test_an_option_out_of_range_is_named(option, values):
    for value in values:
        with pytest.raises(SparftError, match=rf"sparft\.memory\.{option} "):
            MemoryRPlus(**{"encoder": "e", option: value})
    with pytest.raises(SparftError, match=r"sparft\.memory\.normalize must be 'global'"):
        MemoryR("e", compat="released", normalize="per_query")


@pytest.mark.parametrize(
    ("response", "reasoning"),
    [
        (XML, "2 + 2 is 4"),
        ("<think>so it is 4</think>4", "so it is 4"),
        ("so it is 4</think>4", "so it is 4"),
        ("<reasoning>cut off by the lim", "cut off by the lim"),
        ("<reasoning>a</reasoning><reasoning>b</reasoning>c", "b"),
        ("<think>a</think><reasoning>b</reasoning>", "b"),
        ("<reasoning></reasoning>4", ""),
        ("  the answer is 4 ", "the answer is 4"),
        ("<answer>4</answer>", "<answer>4</answer>"),
        ("<REASONING>a</REASONING>", "<REASONING>a</REASONING>"),
        ("", ""),
    ],
)
def test_the_reasoning_is_what_stands_between_its_tags(response, reasoning):
    assert stored_text(response, "reasoning") == reasoning
    assert stored_text(f" {response}\n", "response") == f" {response}\n"
