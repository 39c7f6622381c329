"""How long a response is, in tokens."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from numbers import Integral
from typing import Any

from sparft_plugin.errors import SparftError

# Two threads that load or use one tokenizer at the same time disturb each other.
TURN = threading.Lock()


def response_tokens(
    response: str, extra_info: Mapping[str, Any] | None, tokenizer: str | None
) -> int:
    """Return the number of tokens of a response.

    verl gives a reward function text, not tokens. A host that knows the number says it in
    ``extra_info["response_tokens"]``; otherwise the text is encoded again, by a tokenizer that is
    loaded once per process. Encoding again leaves out special tokens such as the end of sequence,
    and may join what the policy wrote in two: within a few tokens of what was generated, and a
    response that was cut off at the limit may come out just below it.

    Parameters
    ----------
    response : str
        The response, without special tokens.
    extra_info : mapping, optional
        As verl gives it.
    tokenizer : str, optional
        Folder or hub name, usually the recipe's ``actor_rollout_ref.model.path``.

    Raises
    ------
    SparftError
        If there is neither a count nor a tokenizer, or the count is no whole number >= 0.
    """
    count = (extra_info or {}).get("response_tokens")
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
            raise SparftError(
                f"extra_info.response_tokens must be a whole number of at least 0, not {count!r}."
            )
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


@lru_cache(maxsize=1)
def load_tokenizer(path: str) -> Any:
    """Load a tokenizer from a folder, or from the hub by its name.

    Raises
    ------
    SparftError
        If it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise SparftError(
            f"reward_kwargs.tokenizer={path!r} cannot be loaded ({error}); name the folder of the "
            "policy's tokenizer."
        ) from error
