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
from sparft_plugin.testing.intrinsic_rewards import saved
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


@given(steps=runs(), options=options, normalize=st.sampled_from(["global", "per_query"]))
def test_memory_r_is_the_formula(steps, options, normalize):
    options["normalize"] = normalize
    oracle = Paper(plus=False, weights=(0.3, 0), **options)
    check_run(MemoryR, oracle, steps, exploit_weight=0.3, **options)


@given(
    steps=runs(),
    options=options,
    warmup=warmups,
    normalize=st.sampled_from(["global", "per_query"]),
)
def test_memory_r_plus_is_the_formulas(steps, options, warmup, normalize):
    options.update(warmup, normalize=normalize)
    oracle = Paper(plus=True, weights=(2, 0.5), **options)
    check_run(MemoryRPlus, oracle, steps, exploit_weight=2, explore_weight=0.5, **options)


@pytest.mark.parametrize("cls", [MemoryR, MemoryRPlus])
@given(steps=runs(), options=options, warmup=warmups)
def test_both_can_be_the_released_code(cls, steps, options, warmup):
    plus = cls is MemoryRPlus
    options.update(warmup if plus else {})
    check_run(cls, Released(plus=plus, **options), steps, compat="released", **options)


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
    straight, resumed = (MemoryRPlus(encoder="oracle", **chosen) for _ in "ab")
    for groups in steps[:cut]:
        straight.write(memory_groups(groups))
    resumed.load_state_dict(straight.state_dict())
    for groups in map(memory_groups, steps[cut:]):
        for ours, theirs in zip(resumed.score(groups), straight.score(groups), strict=True):
            np.testing.assert_array_equal(ours.total, theirs.total)
        straight.write(groups)
        resumed.write(groups)
    assert saved(resumed) == saved(straight)
    assert resumed.metrics() == straight.metrics()


def group(prompt_id, responses, accuracies, query=(1, 0)):
    accuracies = np.array(accuracies, np.float64)
    return MemoryGroup(prompt_id, np.array(query), np.array(responses), accuracies)


def test_the_response_nearer_to_past_success_earns_more():
    memory = MemoryR("e")
    memory.write([group("a", [[1, 0]], [1])])
    memory.write([group("a", [[1, 0], [-1, 0]], [1, 0])])
    (terms,) = memory.score([group("a", [[1, 0], [0.5, 0], [-1, 0]], [0, 0, 0])])
    np.testing.assert_allclose(terms.exploit, [1, 0.75, 0], atol=1e-6)


def test_a_wrong_answer_does_not_match_itself_in_its_own_step_but_in_the_released_code():
    wrong = [group("a", [[0, 1]], [0])]
    for compat, explore in (("paper", 0.5), ("released", 0)):
        memory = MemoryRPlus("e", warmup_steps=0, compat=compat)
        memory.write([group("a", [[1, 0]], [0])])
        memory.write([group("a", [[1, 0], [-1, 0]], [1, 1])])  # opens the window to [0, 2]
        np.testing.assert_allclose(memory.score(wrong)[0].explore, [explore], atol=1e-6)
        memory.write(wrong)
        np.testing.assert_allclose(memory.score(wrong)[0].explore, [0], atol=1e-6)


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
    whole, half = (
        MemoryRPlus("oracle", warmup_steps=0, storage=storage, compat=compat)
        for storage in ("float32", "float16")
    )
    unit = rng.normal(size=(8, 12, 32))
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    for step in unit:
        groups = [group("a", step, np.arange(12) % 2, step[0])]
        for ours, theirs in zip(half.score(groups), whole.score(groups), strict=True):
            np.testing.assert_allclose(ours.total, theirs.total, atol=0.02)
        whole.write(groups)
        half.write(groups)


def test_what_half_precision_cannot_hold_is_refused_and_nothing_is_written():
    memory = MemoryRPlus("e", storage="float16")
    memory.write([group("a", [[1, 0]], [1])])
    before = saved(memory)
    large = [group("a", [[1, 0]], [1]), group("b", [[7e4, 0]], [0])]
    with pytest.raises(SparftError, match=r"prompt 'b' is too large.*storage=float32"):
        memory.write(large)
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


def test_another_dimension_is_refused_and_nothing_is_written():
    memory = MemoryRPlus("mini", warmup_steps=0)
    memory.write([group("a", [[1, 0]], [1])])
    before = saved(memory)
    wide = group("b", [[1, 0, 0]], [1], query=(1, 0, 0))
    for action in (memory.score, memory.write):
        with pytest.raises(SparftError, match="'b' has 3 dimensions, the memory has 2.*'mini'"):
            action([group("a", [[1, 0]], [1]), wide])
    assert saved(memory) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("neighbors", 0),
        ("neighbors", 1.0),
        ("neighbors", True),
        ("query_capacity", 0),
        ("response_capacity", 0),
        ("success_threshold", 1.0),
        ("success_threshold", -0.1),
        ("window", 0),
        ("exploit_weight", float("nan")),
        ("exploit_weight", float("inf")),
        ("explore_weight", -1.0),
        ("explore_weight", "1"),
        ("warmup_steps", -1),
        ("warmup_failures", -1),
        ("warmup_failures", 0.5),
        ("normalize", "per_prompt"),
        ("compat", "release"),
        ("stored", "answer"),
        ("storage", "bfloat16"),
        ("storage", None),
        ("encoder", ""),
    ],
)
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(SparftError, match=rf"sparft\.memory\.{option} "):
        MemoryRPlus(**{"encoder": "e", option: value})


def test_the_released_code_has_one_window():
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
