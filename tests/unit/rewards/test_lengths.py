"""Length rewards against their formulas, the tokens they count, and the bounded reward."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards import cosine_length, length_budget, par
from sparft_plugin.rewards.api import response_tokens
from sparft_plugin.rewards.cosine_length import cosine_length as cosine
from sparft_plugin.rewards.length_budget import budget_at, budget_rate

RIGHT = "<answer>5</answer>"
WRONG = "<answer>6</answer>"


def paper_cosine(t: float, limit: float, at_zero: float, at_limit: float) -> float:
    """Eq. 1 of Demystifying Long CoT, with eta_max reached at t = 0."""
    return at_limit + 0.5 * (at_zero - at_limit) * (1 + math.cos(t * math.pi / limit))


pair = st.lists(st.floats(-10, 10), min_size=2, max_size=2)


@given(st.integers(0, 3000), st.integers(1, 2000))
def test_the_cosine_is_the_papers_below_the_limit_and_flat_from_it(n: int, limit: int) -> None:
    for accuracy, (zero, end) in ((1.0, (1.0, 0.5)), (0.0, (-1.0, -0.5))):
        wanted = paper_cosine(n, limit, zero, end) if n < limit else -1.0
        assert cosine(n, limit, accuracy) == pytest.approx(wanted)


@given(st.integers(0, 1200), pair, pair, st.floats(-10, 10))
def test_the_values_at_both_ends_can_be_chosen(
    n: int, right: list[float], wrong: list[float], exceeded: float
) -> None:
    ends = {"right": right, "wrong": wrong, "exceeded": exceeded}
    for response, (zero, end) in ((RIGHT, right), (WRONG, wrong)):
        wanted = exceeded if n >= 1000 else paper_cosine(n, 1000, zero, end)
        info = {"response_tokens": n}
        parts = cosine_length.compute_score(
            "set", response, "5", info, limit=1000, verifier="exact", **ends
        )
        assert parts["length"] == pytest.approx(wanted)
        assert parts["score"] == pytest.approx(parts["acc"] + wanted)


def test_shorter_is_better_when_right_and_longer_when_wrong() -> None:
    right, wrong = ([cosine(n, 200, accuracy) for n in range(0, 200, 10)] for accuracy in (1, 0))

    assert right == sorted(right, reverse=True)
    assert wrong == sorted(wrong)
    assert min(right) > max(wrong)


@given(st.integers(0, 500), st.floats(0.1, 1), st.integers(1, 50))
def test_the_budget_shrinks_by_its_factor_every_so_many_steps(t: int, g: float, every: int) -> None:
    budget = 256.0
    for _ in range(t // every):
        budget *= g

    assert budget_at(t, 256.0, g, every) == pytest.approx(max(1.0, budget))


def test_the_budget_of_the_first_steps_is_the_start() -> None:
    assert [budget_at(t, 100, 0.5, 2, 20) for t in range(8)] == [100, 100, 50, 50, 25, 25, 20, 20]


@pytest.mark.parametrize(
    ("tokens", "rate"), [(0, 0), (50, 0.5), (100, 1), (150, 0.5), (200, 0), (10**9, 0)]
)
def test_a_length_fits_its_budget_best_when_it_uses_it_up(tokens: int, rate: float) -> None:
    assert budget_rate(tokens, 100) == pytest.approx(rate)


@given(
    st.integers(-3, 3),
    st.lists(st.floats(-20, 20), min_size=1, max_size=5),
    st.sampled_from([0.1, 1, 3.5]),
)
def test_par_is_the_mean_sigmoid_of_the_centred_reward(
    reward: float, refs: list[float], k: float
) -> None:
    naive = sum((1 + math.tanh(k * (reward - ref) / 2)) / 2 for ref in refs) / len(refs)

    assert par.par(reward, refs, k) == pytest.approx(naive)


def test_par_stays_bounded_where_the_exponential_would_not() -> None:
    assert par.par(1e6, [0.0]) == 1.0
    assert par.par(-1e6, [0.0]) == 0.0
    assert par.par(3.0, [3.0]) == 0.5


def test_the_shaped_score_adds_to_the_verifiers_and_keeps_its_parts() -> None:
    info = {"response_tokens": 100}
    parts = cosine_length.compute_score("set", RIGHT, "5", info, limit=200, weight=2.0)

    assert parts == {
        "score": pytest.approx(1.5 + 2 * 0.75),
        "acc": 1.0,
        "answered": 1.0,
        "format": 0.0,
        "integer": 1.0,
        "length": pytest.approx(0.75),
        "tokens": 100.0,
    }


def test_the_budget_follows_the_training_step() -> None:
    info = {"response_tokens": 128, "max_global_steps": 10}
    parts = length_budget.compute_score(
        "set", WRONG, "5", info, start=256, decay=0.5, every=10, verifier="exact"
    )

    assert parts == {
        "score": 0.5,
        "acc": 0.0,
        "answered": 1.0,
        "length": 1.0,
        "tokens": 128.0,
        "budget": 128.0,
    }


def test_par_takes_the_prompts_own_references_before_the_one_for_all() -> None:
    kwargs = {"verifier": "exact", "reference": 1.0}
    info = {"reference_rewards": [0.0, 1.0]}
    own = par.compute_score("set", RIGHT, "5", info, scale=2.0, **kwargs)
    shared = par.compute_score("set", RIGHT, "5", {}, **kwargs)

    assert own["score"] == pytest.approx((1 / (1 + math.exp(-2)) + 0.5) / 2)
    assert (shared["score"], shared["unshaped"], shared["acc"]) == (0.5, 1.0, 1.0)


def test_a_shaper_passes_options_on_and_can_be_shaped_again() -> None:
    inner = {"limit": 200, "verifier": "gsm8k", "verifier_kwargs": {"integer_weight": 0.0}}
    parts = par.compute_score(
        "set",
        RIGHT,
        "5",
        {"response_tokens": 100},
        reference=1.75,
        verifier="cosine_length",
        verifier_kwargs=inner,
    )

    assert parts["unshaped"] == pytest.approx(1.75)
    assert parts["score"] == pytest.approx(0.5)


def test_tokens_are_the_hosts_count_or_else_the_tokenizers(tokenizer: str) -> None:
    assert response_tokens("abc", {"response_tokens": 7}, tokenizer) == 7
    assert response_tokens("abc é", {}, tokenizer) == len("abc é".encode())
    assert response_tokens("", None, tokenizer) == 0
    assert response_tokens("a\ud800", {}, tokenizer) == 2


def test_a_length_in_characters_is_never_taken_for_tokens(tmp_path: Path) -> None:
    with pytest.raises(SparftError, match=r"give reward_kwargs.tokenizer"):
        cosine_length.compute_score("set", RIGHT, "5", {}, limit=200)
    with pytest.raises(SparftError, match=r"reward_kwargs.tokenizer=.*cannot be loaded"):
        response_tokens("abc", {}, str(tmp_path / "nothing"))


@pytest.mark.parametrize("count", [-1, 1.5, True, "7"])
def test_a_count_that_is_none_is_refused(count: object) -> None:
    with pytest.raises(SparftError, match="extra_info.response_tokens must be a whole number"):
        response_tokens("abc", {"response_tokens": count}, None)


@pytest.mark.parametrize("step", [None, -1, 1.5, True, "7"])
def test_a_budget_without_a_step_is_refused(step: object) -> None:
    info = {"response_tokens": 1, "max_global_steps": step}
    with pytest.raises(SparftError, match=r"extra_info.max_global_steps is .* trainer.use_v1=True"):
        length_budget.compute_score("set", RIGHT, "5", info, every=10)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "reward_kwargs.limit must be an integer >= 1, not None"),
        ({"limit": 0}, "reward_kwargs.limit must be an integer >= 1, not 0"),
        ({"limit": 9, "weight": -1}, "reward_kwargs.weight must be a finite number >= 0"),
        ({"limit": 9, "verifier": "exakt"}, "did you mean 'exact'"),
        ({"limit": 9, "right": (1.0,)}, r"right must be two numbers, .* not \(1.0,\)"),
        ({"limit": 9, "wrong": "-1"}, "reward_kwargs.wrong must be two numbers"),
        ({"limit": 9, "wrong": [0, "x"]}, "reward_kwargs.wrong must be a finite number"),
        ({"limits": 9}, "unknown reward_kwargs option of cosine_length 'limits'; did you mean"),
        ({"limit": 9, "verifier_kwargs": {"a": 1}}, "unknown reward_kwargs option of gsm8k 'a'"),
    ],
)
def test_a_bad_option_is_named(kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(SparftError, match=message):
        cosine_length.compute_score("set", RIGHT, "5", {"response_tokens": 1}, **kwargs)  # type: ignore[arg-type]


def test_par_without_a_reference_is_refused() -> None:
    with pytest.raises(SparftError, match="par needs rewards of reference responses"):
        par.compute_score("set", RIGHT, "5", {})
    with pytest.raises(SparftError, match="reward_kwargs.scale must be a finite number > 0"):
        par.compute_score("set", RIGHT, "5", {}, reference=1.0, scale=0)
