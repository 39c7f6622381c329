"""Length rewards against their formulas, the tokens they count, and the bounded reward."""

from __future__ import annotations

import math

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


def paper_cosine(t, limit, at_zero, at_limit):
    """Eq. 1 of Demystifying Long CoT, with eta_max reached at t = 0."""
    return at_limit + 0.5 * (at_zero - at_limit) * (1 + math.cos(t * math.pi / limit))


pair = st.lists(st.floats(-10, 10), min_size=2, max_size=2)


@given(st.integers(0, 3000), st.integers(1, 2000), pair, pair, st.floats(-10, 10))
def test_the_cosine_is_the_papers_below_the_limit_and_flat_from_it(n, limit, right, wrong, most):
    ends = {"right": right, "wrong": wrong, "exceeded": most}
    for response, ends_of, usual in ((RIGHT, right, (1, 0.5)), (WRONG, wrong, (-1, -0.5))):
        wanted = paper_cosine(n, limit, *ends_of) if n < limit else most
        parts = cosine_length.compute_score(
            "set", response, "5", {"response_tokens": n}, limit=limit, verifier="exact", **ends
        )
        assert parts["length"] == pytest.approx(wanted)
        assert parts["score"] == pytest.approx(parts["acc"] + wanted)
        default = paper_cosine(n, limit, *usual) if n < limit else -1
        assert cosine(n, limit, parts["acc"]) == pytest.approx(default)


@given(st.integers(0, 500), st.floats(0.1, 1), st.integers(1, 50))
def test_the_budget_shrinks_by_its_factor_every_so_many_steps(t, g, every):
    budget = 256.0
    for _ in range(t // every):
        budget *= g
    assert budget_at(t, 256.0, g, every) == pytest.approx(max(1.0, budget))
    assert [budget_at(t, 100, 0.5, 2, 20) for t in range(8)] == [100, 100, 50, 50, 25, 25, 20, 20]


def test_a_length_fits_its_budget_best_when_it_uses_it_up():
    rates = {0: 0, 50: 0.5, 100: 1, 150: 0.5, 200: 0, 10**9: 0}
    assert {tokens: budget_rate(tokens, 100) for tokens in rates} == pytest.approx(rates)


@given(
    st.integers(-3, 3),
    st.lists(st.floats(-20, 20), min_size=1, max_size=5),
    st.sampled_from([0.1, 1, 3.5]),
)
def test_par_is_the_mean_sigmoid_of_the_centred_reward(reward, refs, k):
    naive = sum((1 + math.tanh(k * (reward - ref) / 2)) / 2 for ref in refs) / len(refs)
    assert par.par(reward, refs, k) == pytest.approx(naive)
    assert (par.par(1e6, [0.0]), par.par(-1e6, [0.0])) == (1.0, 0.0)


def test_the_shaped_score_adds_to_the_verifiers_and_keeps_its_parts():
    info = {"response_tokens": 100}
    parts = cosine_length.compute_score("set", RIGHT, "5", info, limit=200, weight=2.0)
    own = {"acc": 1.0, "answered": 1.0, "format": 0.0, "integer": 1.0}
    assert parts == pytest.approx({"score": 1.5 + 2 * 0.75, **own, "length": 0.75, "tokens": 100.0})


def test_the_budget_follows_the_training_step():
    info = {"response_tokens": 128, "max_global_steps": 10}
    options = {"start": 256, "decay": 0.5, "every": 10, "verifier": "exact"}
    parts = length_budget.compute_score("set", WRONG, "5", info, **options)
    own = {"acc": 0.0, "answered": 1.0}
    assert parts == {"score": 0.5, **own, "length": 1.0, "tokens": 128.0, "budget": 128.0}


def test_par_takes_the_prompts_own_references_before_the_one_for_all():
    kwargs = {"verifier": "exact", "reference": 1.0}
    info = {"reference_rewards": [0.0, 1.0]}
    own = par.compute_score("set", RIGHT, "5", info, scale=2.0, **kwargs)
    shared = par.compute_score("set", RIGHT, "5", {}, **kwargs)
    assert own["score"] == pytest.approx((1 / (1 + math.exp(-2)) + 0.5) / 2)
    assert (shared["score"], shared["unshaped"], shared["acc"]) == (0.5, 1.0, 1.0)


def test_a_shaper_passes_options_on_and_can_be_shaped_again():
    inner = {"limit": 200, "verifier": "gsm8k", "verifier_kwargs": {"integer_weight": 0.0}}
    options = {"reference": 1.75, "verifier": "cosine_length", "verifier_kwargs": inner}
    parts = par.compute_score("set", RIGHT, "5", {"response_tokens": 100}, **options)
    assert (parts["unshaped"], parts["score"]) == pytest.approx((1.75, 0.5))


def test_tokens_are_the_hosts_count_or_else_the_tokenizers(tokenizer, tmp_path):
    assert response_tokens("abc", {"response_tokens": 7}, tokenizer) == 7
    assert response_tokens("abc é", {}, tokenizer) == len("abc é".encode())
    assert response_tokens("", None, tokenizer) == 0
    assert response_tokens("a\ud800", {}, tokenizer) == 2
    with pytest.raises(SparftError, match=r"reward_kwargs.tokenizer=.*cannot be loaded"):
        response_tokens("abc", {}, str(tmp_path / "nothing"))


@pytest.mark.parametrize("count", [-1, 1.5, True, "7"])
def test_a_count_of_tokens_or_steps_that_is_none_is_refused(count):
    with pytest.raises(SparftError, match="extra_info.response_tokens must be a whole number"):
        response_tokens("abc", {"response_tokens": count}, None)
    info = {"response_tokens": 1, "max_global_steps": count}
    with pytest.raises(SparftError, match=r"extra_info.max_global_steps is .* trainer.use_v1=True"):
        length_budget.compute_score("set", RIGHT, "5", info, every=10)


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (cosine_length, {}, "reward_kwargs.limit must be an integer >= 1, not None"),
        (cosine_length, {"limit": 9, "weight": -1}, "reward_kwargs.weight must be a finite number"),
        (cosine_length, {"limit": 9, "verifier": "exakt"}, "did you mean 'exact'"),
        (cosine_length, {"limit": 9, "right": (1.0,)}, r"right must be two numbers, .* not \(1.0,"),
        (cosine_length, {"limit": 9, "wrong": "-1"}, "reward_kwargs.wrong must be two numbers"),
        (cosine_length, {"limit": 9, "wrong": [0, "x"]}, "reward_kwargs.wrong must be a finite nu"),
        (cosine_length, {"limits": 9}, "option of cosine_length 'limits'; did you mean"),
        (cosine_length, {"limit": 9, "verifier_kwargs": {"a": 1}}, "option of gsm8k 'a'"),
        (cosine_length, {"limit": 9}, r"give reward_kwargs.tokenizer"),
        (length_budget, {"every": 9, "tokenizer": "x", "decay": 0}, "reward_kwargs.decay must be"),
        (par, {}, "par needs rewards of reference responses"),
        (par, {"reference": 1.0, "scale": 0}, "reward_kwargs.scale must be a finite number > 0"),
    ],
)
def test_a_bad_option_is_named(module, options, message):
    with pytest.raises(SparftError, match=message):
        module.compute_score("set", RIGHT, "5", {}, **options)
