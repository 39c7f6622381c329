"""``sparft difficulty`` and ``sparft angles``: what a model makes of each prompt, once and kept."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sparft_plugin.cli.corpus_options import add_corpus_options, corpus_of
from sparft_plugin.difficulty.angles import Prefill, measure_angles
from sparft_plugin.difficulty.log import AngleLog, AttemptLog, MeasurementLog
from sparft_plugin.difficulty.solve import Sampling, VllmGenerator, measure
from sparft_plugin.difficulty.solved import SOLVED_ABOVE, write_solved
from sparft_plugin.difficulty.verifier import load_verifier
from sparft_plugin.errors import SparftError, require
from sparft_plugin.plugins import read_options
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.embedders.models import model_identity
from sparft_plugin.reduction.files import check_link

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it."""
SAMPLING = Sampling()
NO_SAMPLE = (
    *("cpu_offload_gb", "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager"),
    *("gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs"),
)
"""Engine options that change speed and memory but no sample: a log may go on with others."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands ``difficulty`` and ``angles`` and their options."""
    parser = subparsers.add_parser(
        "difficulty",
        help="measure how often a model solves each prompt",
        description=(
            "Attempt each prompt with a model through vLLM, judge every response with the rows' "
            "own verifier and write difficulty = 1 - solve rate. Every attempt is logged beside "
            "the output, and the same command goes on after an interruption or a kill."
        ),
    )
    _add_common(parser, "SOLVED.jsonl", "a model that attempts the prompts")
    for flag, default, metavar, text in (
        ("verifier", None, "FILE.py:FUNCTION", "reward function as verl's custom_reward_function"),
        ("solved-above", SOLVED_ABOVE, "SCORE", "a response without 'acc' is solved above it"),
        ("attempts", SAMPLING.attempts, "N", "responses per prompt; the cost is in proportion"),
        ("temperature", SAMPLING.temperature, "X", "sampling temperature"),
        ("top-p", SAMPLING.top_p, "X", "nucleus that tokens are drawn from"),
        ("max-tokens", SAMPLING.max_tokens, "N", "longest response in tokens"),
        ("seed", SAMPLING.seed, "N", "seed of all samples"),
        ("batch", 128, "PROMPTS", "prompts between two writes to the log; larger is faster"),
        ("tensor-parallel-size", 1, "N", "GPUs that share the model"),
    ):
        _add(parser, flag, default, metavar, text, "verl's, by data_source")
    parser.add_argument(
        "--engine-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="further argument of vllm.LLM, such as max_model_len=4096; may be repeated",
    )
    parser.set_defaults(run=difficulty)

    parser = subparsers.add_parser(
        "angles",
        help="measure how much a model's hidden states of each prompt point one way",
        description=(
            "Run each prompt through a model once, without generating, and write the angle "
            "concentration of its hidden states for the curriculum gain_rl. The same command goes "
            "on after an interruption or a kill."
        ),
    )
    _add_common(parser, "ANGLES.jsonl", "the model to train")
    _add(parser, "batch", 16, "PROMPTS", "prompts in one forward pass")
    _add(parser, "device", None, "NAME", "such as cuda:1 or cpu", "a GPU if there is one")
    parser.set_defaults(run=angles)


def difficulty(arguments: argparse.Namespace) -> int:
    """Attempt what is not attempted yet, write the output and summarise it on stdout."""
    out: Path = arguments.output
    log_path = out.with_suffix(".attempts.jsonl")
    _check_output(out, arguments.inputs, log_path)
    # With its log beside it, the output can be made again from the attempts, so nothing is lost.
    if out.exists() and not log_path.exists() and not arguments.overwrite:
        raise SparftError(f"{out} already exists; pass --overwrite or choose another output.")
    sampling = Sampling(**{name: getattr(arguments, name) for name in vars(SAMPLING)})
    options = {"dtype": arguments.dtype, **_engine_options(arguments.engine_option)}
    parallel = {"tensor_parallel_size": arguments.tensor_parallel_size}
    verifier = load_verifier(arguments.verifier)
    corpus = corpus_of(arguments)
    prompts = PromptTable.from_corpus(corpus)
    settings = {
        "model": model_identity(arguments.model),
        **vars(sampling),
        "engine": {key: value for key, value in options.items() if key not in NO_SAMPLE},
        "verifier": verifier.identity,
        "prompts": prompts.fingerprint,
    }
    with AttemptLog(log_path, settings, overwrite=arguments.overwrite) as log:
        known = len(log.done)
        ended = _run(
            len(prompts),
            log,
            partial(VllmGenerator, arguments.model, sampling, {**parallel, **options}),
            partial(measure, prompts, corpus, log, verifier, batch=arguments.batch),
        )
        if not ended:
            return INTERRUPTED
        tallies = log.tallies(arguments.solved_above)
    write_solved(out, prompts, tallies, {**settings, "solved_above": arguments.solved_above})
    rates = [tallies[key].solve_rate for key in prompts.ids if tallies[key].attempts]
    _say_measured(len(rates), len(prompts), known)
    if rates:
        never, always = sum(r == 0.0 for r in rates), sum(r == 1.0 for r in rates)
        sys.stdout.write(
            f"mean solve rate {math.fsum(rates) / len(rates):.3f}; never solved {never}, "
            f"sometimes {len(rates) - never - always}, always {always}.\n"
        )
    sys.stdout.write(f"wrote {out} and {log_path}\n")
    return 0


def angles(arguments: argparse.Namespace) -> int:
    """Measure what is not measured yet and summarise the file on stdout."""
    out: Path = arguments.output
    _check_output(out, arguments.inputs, out)
    corpus = corpus_of(arguments)
    prompts = PromptTable.from_corpus(corpus)
    settings = {
        "model": model_identity(arguments.model),
        "dtype": arguments.dtype,
        "prompts": prompts.fingerprint,
    }
    with AngleLog(out, settings, overwrite=arguments.overwrite) as log:
        known = len(log.done)
        ended = _run(
            len(prompts),
            log,
            partial(Prefill, arguments.model, arguments.dtype, arguments.device),
            partial(measure_angles, prompts, corpus, log, batch=arguments.batch),
        )
        if not ended:
            return INTERRUPTED
        found = sorted(angle for angle in log.angles().values() if not math.isnan(angle))
    _say_measured(len(found), len(prompts), known)
    if found:
        sys.stdout.write(
            f"angle concentration: lowest {found[0]:.4f}, median "
            f"{found[len(found) // 2]:.4f}, highest {found[-1]:.4f}.\n"
        )
    sys.stdout.write(f"wrote {out}\n")
    return 0


def _run(
    total: int, log: MeasurementLog, model: Callable[[], Any], measure: Callable[..., None]
) -> bool:
    """Measure behind a progress bar on stderr; False, and how to go on, after Ctrl-C."""
    from tqdm import tqdm

    known = len(log.done)
    with tqdm(
        total=total, initial=known, unit="prompt", file=sys.stderr, smoothing=0.1
    ) as progress:

        def start() -> Any:
            made = model()
            # Loading the model is no part of the rate.
            progress.unpause()
            return made

        try:
            measure(start=start, advance=progress.update)
        except KeyboardInterrupt:
            progress.close()
            sys.stderr.write(
                f"sparft: interrupted; {len(log.done)} of {total} prompts are in {log.path}, and "
                "the same command goes on from there.\n"
            )
            return False
    return True


def _say_measured(measured: int, total: int, known: int) -> None:
    sys.stdout.write(
        f"measured {measured} of {total} prompts, {known} of them in an earlier run; "
        f"{total - measured} too long for the model and left out.\n"
    )


def _add_common(parser: argparse.ArgumentParser, output: str, model: str) -> None:
    add_corpus_options(parser)
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar=output, help="file to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="forget what was measured so far")
    model = f"{model}: local folder or Hugging Face hub id"
    parser.add_argument("--model", required=True, metavar="NAME", help=model)
    _add(parser, "dtype", "auto", "NAME", "of the weights")


def _add(
    parser: argparse.ArgumentParser,
    flag: str,
    default: Any,
    metavar: str,
    text: str,
    otherwise: str = "",
) -> None:
    """Add an option of the default's type; ``otherwise`` says what None stands for."""
    parser.add_argument(
        f"--{flag}",
        type=str if default is None else type(default),
        default=default,
        metavar=metavar,
        help=f"{text} (default: {otherwise if default is None else default})",
    )


def _engine_options(given: Sequence[str]) -> dict[str, Any]:
    options = read_options("--engine-option", given)
    for key in {"model", "seed", "dtype", "tensor_parallel_size"} & options.keys():
        flag = key.replace("_", "-")
        raise SparftError(f"the engine option '{key}' has its own flag; use --{flag}.")
    return options


def _check_output(out: Path, inputs: Iterable[str], log: Path) -> None:
    """Refuse what cannot be written, or would write to an input."""
    require(out.suffix == ".jsonl", f"{out} must end in .jsonl.")
    require(out.parent.is_dir(), f"the folder {out.parent} does not exist; create it first.")
    written = {out.resolve(), log.resolve(), *out.resolve().parents}
    apart = written.isdisjoint(Path(path).resolve() for path in inputs)
    require(apart, f"{out} or its log is an input, or in one; choose another output.")
    require(not out.is_dir(), f"{out} is a folder; choose another output.")
    check_link(out)
