"""What Memory-R and Memory-R+ pay for, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.memory_r_plus import MemoryRPlus
from sparft_plugin.testing.intrinsic_rewards import saved


def group(prompt_id, responses, accuracies, query=(1, 0)):
    return MemoryGroup(
        prompt_id,
        np.array(query),
        np.array(responses),
        np.array(accuracies, np.float64),
    )


def random_groups(rng, count, size=4):
    return [
        group(
            f"p{rng.integers(5)}",
            rng.normal(size=(size, 6)),
            rng.integers(2, size=size),
            query=rng.normal(size=6),
        )
        for _ in range(count)
    ]


def test_nothing_is_paid_before_anything_is_known():
    (terms,) = MemoryRPlus("e", warmup_steps=0).score([group("a", [[1, 0], [0, 1]], [1, 0])])
    assert terms.total.tolist() == [0, 0]


def test_the_response_nearer_to_past_success_earns_more():
    memory = MemoryR("e")
    memory.write([group("a", [[1, 0]], [1])])
    memory.write([group("a", [[1, 0], [-1, 0]], [1, 0])])
    (terms,) = memory.score([group("a", [[1, 0], [0.5, 0], [-1, 0]], [0, 0, 0])])
    np.testing.assert_allclose(terms.exploit, [1, 0.75, 0], atol=1e-6)
    np.testing.assert_allclose(terms.total, terms.exploit)


def test_a_wrong_answer_does_not_match_itself_in_its_own_step():
    """Written first and scored after, every wrong answer would have novelty 0."""
    memory = MemoryRPlus("e", warmup_steps=0)
    memory.write([group("a", [[1, 0]], [0])])
    memory.write([group("a", [[1, 0], [-1, 0]], [1, 1])])  # opens the window to [0, 2]
    new_failure = [group("a", [[0, 1]], [0])]
    np.testing.assert_allclose(memory.score(new_failure)[0].explore, [0.5], atol=1e-6)
    memory.write(new_failure)
    np.testing.assert_allclose(memory.score(new_failure)[0].explore, [0.0], atol=1e-6)
    assert memory.explore.windows.windows[""].tolist() == [0, 2, 1]


def test_scoring_changes_nothing():
    rng = np.random.default_rng(0)
    memory = MemoryRPlus("e")
    memory.write(random_groups(rng, 5))
    before = saved(memory)
    memory.score(random_groups(rng, 5))
    assert saved(memory) == before


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_what_is_written_does_not_depend_on_what_was_scored(compat):
    rng = np.random.default_rng(4)
    plain, scoring = (MemoryRPlus("e", compat=compat, response_capacity=3) for _ in "ab")
    for _ in range(6):
        groups = random_groups(rng, 5)
        scoring.score(groups)
        scoring.score(groups[2:])
        plain.write(groups)
        scoring.write(groups)
        assert saved(scoring) == saved(plain)
    scoring.write(groups)
    plain.write(groups)
    assert saved(scoring) == saved(plain)


def test_the_memory_does_not_depend_on_which_group_came_first():
    rng = np.random.default_rng(1)
    one, two = (MemoryRPlus("e", query_capacity=3, response_capacity=5, window=7) for _ in "ab")
    for _ in range(4):
        groups = {g.prompt_id: g for g in random_groups(rng, 8)}
        one.write(list(groups.values()))
        two.write([groups[key] for key in sorted(groups, reverse=True)])
    assert saved(one) == saved(two)


def test_groups_of_one_prompt_keep_their_order():
    memory = MemoryR("e", response_capacity=2)
    memory.write([group("b", [[9, 9]], [1]), group("a", [[1, 0]], [1]), group("a", [[2, 0]], [1])])
    assert memory.exploit.store.nearest(np.ones(2, np.float32), k=2).tolist() == [
        [1, 0],
        [2, 0],
        [9, 9],
    ]


def test_warm_up_pays_no_novelty_but_prepares_it():
    memory = MemoryRPlus("e", warmup_steps=2, exploit_weight=0)
    probe = [group("a", [[0, 1]], [0])]
    memory.write([group("a", [[1, 0]], [0])])
    assert memory.score(probe)[0].total.tolist() == [0]
    memory.write([group("a", [[1, 0], [-1, 0]], [1, 1])])
    np.testing.assert_allclose(memory.score(probe)[0].total, [0.5], atol=1e-6)


def test_stored_failures_end_the_warm_up_where_asked_whatever_the_step():
    memory = MemoryRPlus("e", warmup_failures=3, warmup_steps=999, query_capacity=1)
    warming = []
    for prompt, accuracy in (("a", 0), ("a", 1), ("b", 0), ("b", 0), ("c", 1)):
        warming.append(memory.warming_up)
        memory.write([group(prompt, [[1, 0]], [accuracy])])
    assert warming == [True, True, True, True, False]
    assert memory.metrics()["failure"] == 2


def test_each_prompt_is_scaled_by_its_own_past_where_asked():
    memory = MemoryR("e", normalize="per_query")
    far, near = (0, 1), (1, 0)
    memory.write([group("a", [[0, 0]], [1], far), group("b", [[0, 0]], [1], near)])
    memory.write(
        [group("a", [[0, 0], [8, 0]], [0, 0], far), group("b", [[0, 0], [2, 0]], [0, 0], near)]
    )
    probe = [group("a", [[2, 0]], [0], far), group("b", [[2, 0]], [0], near)]
    paid = [terms.exploit.item() for terms in memory.score(probe)]
    np.testing.assert_allclose(paid, [0.75, 0], atol=1e-6)


def released(**options):
    return MemoryRPlus("e", compat="released", warmup_steps=0, **options)


def test_released_a_wrong_answer_matches_itself():
    """With one neighbour a wrong answer has novelty 0, whatever was stored."""
    memory = released()
    memory.write([group("a", [[1, 0]], [0])])
    right, wrong = memory.score(
        [group("a", [[0, 1]], [1]), group("b", [[0, 1]], [0], query=(0, 1))]
    )
    assert right.explore.tolist() == [1]
    assert wrong.explore.tolist() == [0]


def test_released_equal_values_pay_one_minus_the_distance_itself():
    memory = released()
    memory.write([group("a", [[3, 0]], [1])])
    (terms,) = released(window=1).score([group("a", [[3, 0]], [1])])
    assert terms.exploit.tolist() == [1]
    (terms,) = released(window=1).score([group("a", [[3, 0], [0, 4]], [1, 0])])
    assert terms.exploit.tolist() == [1, 1 - 5]


def test_released_the_window_takes_a_value_in_before_it_scales_it():
    memory = released(window=2)
    memory.write([group("a", [[0, 0]], [1])])
    (terms,) = memory.score([group("a", [[4, 0], [2, 0], [1, 0], [3, 0]], [0, 0, 0, 0])])
    assert terms.exploit.tolist() == [0, 1, 1, 0]


def test_released_nothing_known_pays_novelty_in_full():
    (terms,) = released().score([group("a", [[1, 0]], [1]), group("a", [[1, 0]], [1])])[:1]
    assert (terms.exploit.tolist(), terms.explore.tolist()) == ([1], [1])


def test_released_has_one_window():
    with pytest.raises(SparftError, match=r"sparft\.memory\.normalize must be 'global'"):
        released(normalize="per_query")


def test_released_scoring_changes_nothing_and_the_order_of_groups_does_not_matter():
    rng = np.random.default_rng(3)
    memory = released(query_capacity=3, response_capacity=5)
    for _ in range(3):
        memory.write(random_groups(rng, 5))
    before = saved(memory)
    groups = list({g.prompt_id: g for g in random_groups(rng, 8)}.values())
    forwards = memory.score(groups)
    for one, two in zip(forwards, memory.score(groups[::-1])[::-1], strict=True):
        np.testing.assert_array_equal(one.total, two.total)
    assert saved(memory) == before


def test_what_half_precision_cannot_hold_is_refused_and_nothing_is_written():
    memory = MemoryRPlus("e", storage="float16")
    memory.write([group("a", [[1, 0]], [1])])
    before = saved(memory)
    large = [group("a", [[1, 0]], [1]), group("b", [[7e4, 0]], [0])]
    with pytest.raises(SparftError, match=r"prompt 'b' is too large.*storage=float32"):
        memory.write(large)
    assert saved(memory) == before


def test_a_zero_embedding_has_cosine_zero_and_is_counted():
    memory = MemoryRPlus("e", warmup_steps=0)
    memory.write([group("a", [[1, 0], [0, 0], [-1, 0]], [0, 0, 1])])
    memory.write([group("a", [[-1, 0], [1, 0]], [1, 1])])
    assert memory.metrics()["zero_embeddings"] == 1
    (terms,) = memory.score([group("a", [[0, 0]], [0])])
    assert np.isfinite(terms.total).all()
    assert memory.explore.windows.windows[""].tolist() == [1, 0]


def test_equal_responses_are_each_remembered():
    memory = MemoryR("e")
    memory.write([group("a", [[1, 0]] * 3, [1, 1, 1]), group("a", [[1, 0]], [1])])
    assert memory.metrics()["success"] == 4


def test_accuracy_at_the_threshold_is_a_failure():
    memory = MemoryRPlus("e")
    memory.write([group("a", [[1, 0], [0, 1]], [0.5, 0.6])])
    assert (memory.metrics()["success"], memory.metrics()["failure"]) == (1, 1)
    assert memory.metrics()["queries"] == 1


def test_memory_r_keeps_successes_only():
    memory = MemoryR("e")
    memory.write([group("a", [[1, 0], [0, 1]], [1, 0])])
    assert (memory.metrics()["success"], memory.metrics()["failure"]) == (1, 0)


def test_weights_scale_the_total_only():
    plain, weighted = (
        MemoryRPlus("e", warmup_steps=0),
        MemoryRPlus("e", warmup_steps=0, exploit_weight=2, explore_weight=0.5),
    )
    rng = np.random.default_rng(2)
    for _ in range(3):
        groups = random_groups(rng, 4)
        plain.write(groups)
        weighted.write(groups)
    groups = random_groups(rng, 4)
    for ours, theirs in zip(weighted.score(groups), plain.score(groups), strict=True):
        np.testing.assert_array_equal(ours.explore, theirs.explore)
        np.testing.assert_allclose(ours.total, 2 * theirs.exploit + 0.5 * theirs.explore)


def test_an_empty_step_counts_as_a_step():
    memory = MemoryR("e")
    assert memory.score([]) == []
    memory.write([])
    assert memory.step == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_embeddings_that_are_not_finite_are_refused(bad):
    with pytest.raises(SparftError, match="prompt 'a': responses must be finite"):
        group("a", [[bad, 0]], [1])
    with pytest.raises(SparftError, match="prompt 'a': query must be finite"):
        group("a", [[1, 0]], [1], query=(bad, 0))


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
