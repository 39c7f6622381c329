"""``sparft report``: a table and a picture of a run, from the metrics that verl logged."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparft_plugin.report import draw, read_metrics, table


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "report",
        help="table and picture of a run",
        description="Summarise the metrics of a run and draw picks per arm and pass rate by step.",
    )
    parser.add_argument(
        "metrics",
        type=Path,
        metavar="METRICS.jsonl",
        help="what verl's 'file' logger wrote: trainer.logger=[console,file]",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PICTURE.png",
        help="default: report.png beside the metrics; an existing picture is drawn anew",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table and write the picture."""
    steps = read_metrics(arguments.metrics)
    picture = arguments.output or arguments.metrics.with_name("report.png")
    sys.stdout.write(table(steps))
    draw(steps, picture)
    sys.stdout.write(f"\npicture: {picture}\n")
    return 0
