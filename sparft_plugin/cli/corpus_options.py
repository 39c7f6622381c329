"""Options that every command shares which reads training data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.errors import require


def add_corpus_options(parser: argparse.ArgumentParser) -> None:
    """Add the inputs and what says where their prompts and answers stand."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="IN",
        help="parquet, jsonl or json files, folders of them, folders saved by datasets, or hub "
        "names OWNER/NAME[:CONFIG][:SPLIT]",
    )
    parser.add_argument(
        "--prompt-key",
        default="prompt",
        metavar="COLUMN",
        help="verl's prompt column: chat messages or plain strings (default: prompt)",
    )
    parser.add_argument(
        "--map",
        nargs="+",
        action="extend",
        default=[],
        metavar="TARGET=COLUMN",
        help="columns that are not verl's: prompt=question answer=solution data_source=origin",
    )
    parser.add_argument(
        "--template",
        default="{prompt}",
        metavar="TEXT",
        help="user message that a plain string becomes, with {prompt} in it (default: the string)",
    )
    parser.add_argument(
        "--data-source",
        metavar="NAME",
        help="data_source of every row, if no column has it; verl finds its reward function by it",
    )


def columns_of(arguments: argparse.Namespace) -> Columns:
    """Read what ``add_corpus_options`` added."""
    mapping = {}
    for text in arguments.map:
        target, separator, column = text.partition("=")
        named = bool(separator and target and column)
        require(named, f"--map {text} must be TARGET=COLUMN, such as prompt=question.")
        require(target not in mapping, f"--map names {target} twice; give it once.")
        mapping[target] = column
    return Columns(arguments.prompt_key, mapping, arguments.template, arguments.data_source)


def corpus_of(arguments: argparse.Namespace, inputs: Sequence[str] | None = None) -> Corpus:
    """Open the inputs, or other files with the same columns."""
    return Corpus.open(arguments.inputs if inputs is None else inputs, columns_of(arguments))
