"""What all reward functions share: checked ``reward_kwargs``, verifiers by name, and tokens.

A reward function is ``compute_score(data_source, solution_str, ground_truth, extra_info, ...)``, as
verl calls it: where the row comes from, for errors; the response without special tokens; the answer
that is wanted, a text or a number; and what may tell the question, see ``extract.read_question``.
The result has the same keys for every response: ``score``; ``acc``, 0.0 or 1.0; ``answered``, 1.0
if there is one answer; and the function's own parts, not weighted. An unknown option, one out of
its range and a ground truth that is no answer are a `SparftError`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from importlib import import_module
from inspect import signature
from numbers import Integral
from typing import Any

from sparft_plugin.errors import SparftError, refuse_unknown, require

Score = Callable[..., dict[str, float]]

FROM_VERL = ("reward_router_address", "reward_model_tokenizer")
"""Keyword arguments that verl adds beside a reward model; they are not ours to judge."""

VERIFIERS = ("exact", "math_answer", "gsm8k", "competition", "cosine_length", "length_budget")
"""Modules of this room whose ``compute_score`` returns a score with its parts."""

# Two threads that load or use one tokenizer at the same time disturb each other.
TURN = threading.Lock()


def reward_function(function: Score) -> Score:
    """Let a reward function refuse options that it does not have, and pass over verl's own."""
    options = [p.name for p in signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    kind = f"reward_kwargs option of {function.__module__.rpartition('.')[2]}"

    @wraps(function)
    def checked(
        data_source: Any, solution_str: str, ground_truth: Any, extra_info: Any = None, **given: Any
    ) -> dict[str, float]:
        kwargs = {key: value for key, value in given.items() if key not in FROM_VERL}
        refuse_unknown(kind, kwargs, options)
        return function(data_source, solution_str, ground_truth, extra_info, **kwargs)

    return checked


def verify(
    name: str,
    options: Mapping[str, Any] | None,
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any,
) -> dict[str, float]:
    """Score a response by the verifier of a name, with its own ``reward_kwargs``."""
    refuse_unknown("reward_kwargs.verifier", [name], VERIFIERS)
    score: Score = import_module(f"sparft_plugin.rewards.{name}").compute_score
    return score(data_source, solution_str, ground_truth, extra_info, **dict(options or {}))


def response_tokens(
    response: str, extra_info: Mapping[str, Any] | None, tokenizer: str | None
) -> int:
    """Return the number of tokens of a response.

    verl gives a reward function text, not tokens. A host that knows the number says it in
    ``extra_info["response_tokens"]``; otherwise the text is encoded again, by a tokenizer that is
    loaded once per process: within a few tokens of what was generated, and a response that was cut
    off at the limit may come out just below it.
    """
    count = (extra_info or {}).get("response_tokens")
    if count is not None:
        wrong = f"extra_info.response_tokens must be a whole number of at least 0, not {count!r}."
        require(is_count(count), wrong)
        return int(count)
    if tokenizer is None:
        raise SparftError(
            "a reward by length needs tokens; give reward_kwargs.tokenizer, such as "
            "'${actor_rollout_ref.model.path}'."
        )
    with TURN:
        # Lone surrogates cannot be encoded as UTF-8, which is what tokenizers work on.
        text = response.encode("utf-8", "replace").decode("utf-8")
        return len(load_tokenizer(tokenizer).encode(text, add_special_tokens=False))


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 0."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


@lru_cache(maxsize=1)
def load_tokenizer(path: str) -> Any:
    """Load a tokenizer from a folder, or from the hub by its name."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise SparftError(
            f"reward_kwargs.tokenizer={path!r} cannot be loaded ({error}); name the folder of the "
            "policy's tokenizer."
        ) from error
