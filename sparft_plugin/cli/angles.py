"""``sparft angles``: the angle concentration of each prompt, which ``gain_rl`` ranks by."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from sparft_plugin.angles import AngleLog, Prefill, measure_angles
from sparft_plugin.cli.corpus_options import add_corpus_options, corpus_of
from sparft_plugin.cli.measuring import check_output, interrupted, progress
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.embedders.models import model_identity

BATCH = 16


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``angles`` and its options."""
    parser = subparsers.add_parser(
        "angles",
        help="measure how much a model's hidden states of each prompt point one way",
        description=(
            "Run each prompt through a model once, without generating, and write the angle "
            "concentration of its hidden states for the curriculum gain_rl. The same command goes "
            "on after an interruption or a kill."
        ),
    )
    add_corpus_options(parser)
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="ANGLES.jsonl", help="file to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="start over")
    parser.add_argument(
        "--model",
        required=True,
        metavar="FOLDER",
        help="the model to train: local folder or Hugging Face hub id",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=BATCH,
        metavar="PROMPTS",
        help="prompts in one forward pass (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", default="auto", metavar="NAME", help="of the weights (default: %(default)s)"
    )
    parser.add_argument(
        "--device", metavar="NAME", help="such as cuda:1 or cpu (default: a GPU if there is one)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure what is not measured yet and summarise the file on stdout.

    Raises
    ------
    SparftError
        If an input, an option or the output is bad; what was measured stays in the file.
    """
    out: Path = arguments.output
    check_output(out, arguments.inputs)
    corpus = corpus_of(arguments)
    prompts = PromptTable.from_corpus(corpus)
    settings = {
        "model": model_identity(arguments.model),
        "dtype": arguments.dtype,
        "prompts": prompts.fingerprint,
    }
    with AngleLog(out, settings, overwrite=arguments.overwrite) as log:
        known = len(log.angles)
        with progress(len(prompts), known) as bar:

            def start() -> Prefill:
                model = Prefill(arguments.model, arguments.dtype, arguments.device)
                # Loading the model is no part of the rate.
                bar.unpause()
                return model

            try:
                measure_angles(
                    prompts,
                    corpus,
                    log,
                    start,
                    batch=arguments.batch,
                    advance=bar.update,
                )
            except KeyboardInterrupt:
                return interrupted(bar, len(log.angles), out)
        sys.stdout.write(summary(list(log.angles.values()), known))
    sys.stdout.write(f"wrote {out}\n")
    return 0


def summary(angles: list[float], known: int) -> str:
    """Say how many prompts were measured, and the range of their angles.

    Parameters
    ----------
    angles : list of float
        All angles; NaN for a prompt that is too long.
    known : int
        Those that were in the file already.
    """
    measured = sorted(angle for angle in angles if not math.isnan(angle))
    text = (
        f"measured {len(measured)} of {len(angles)} prompts, {known} of them in an earlier run; "
        f"{len(angles) - len(measured)} too long for the model and left out.\n"
    )
    if measured:
        text += (
            f"angle concentration: lowest {measured[0]:.4f}, median "
            f"{measured[len(measured) // 2]:.4f}, highest {measured[-1]:.4f}.\n"
        )
    return text
