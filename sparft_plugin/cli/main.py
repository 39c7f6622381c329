"""The ``sparft`` command; each module of ``COMMANDS`` adds its subcommands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import sparft_plugin
from sparft_plugin.cli import measure, reduce, report, simulate
from sparft_plugin.errors import SparftError

COMMANDS = (reduce, measure, report, simulate)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; each command adds itself and sets ``run``, a function of the arguments."""
    parser = argparse.ArgumentParser(
        prog="sparft", description="Data-efficient reinforcement learning for language models."
    )
    parser.add_argument("--version", action="version", version=sparft_plugin.__version__)
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 after bad input, which is one line on stderr."""
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except SparftError as error:
        sys.stderr.write(f"sparft: error: {error}\n")
        return 2
    return code
