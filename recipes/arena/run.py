"""Make the runs of a suite that have no row yet.

    python recipes/arena/run.py --suite screen                    # goes on where it was killed
    python recipes/arena/run.py --suite screen --arm NAME         # one arm, also a stranger's
    python recipes/arena/run.py --drop pool=healthy,arm=sec --why "..."

A run is a line of `rows.jsonl`, written when it ends. The same command twice computes nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rows import ROWS, drop, key, read, without_torn_line

if TYPE_CHECKING:
    from suites import Run


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    suites = ("smoke", "headroom", "screen", "decide", "hosts")
    parser.add_argument("--suite", default="screen", choices=suites)
    parser.add_argument("--rows", type=Path, default=ROWS, help="file of rows")
    parser.add_argument("--arm", action="append", help="only this arm, or a curriculum's name")
    parser.add_argument("--pool", action="append", help="only this pool")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side, one core each")
    parser.add_argument("--drop", metavar="KEY=VALUE,...", help="drop the rows that match")
    parser.add_argument("--why", help="reason to drop them, kept beside the rows")
    args = parser.parse_args(argv)
    if args.drop:
        wanted = dict(part.partition("=")[::2] for part in args.drop.split(","))
        if not args.why:
            parser.error("--drop needs --why")
        sys.stdout.write(f"dropped {drop(args.rows, wanted, args.why)} rows\n")
        return
    # More threads than cores make a run ten times slower; workers inherit this.
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        todo = missing(args.rows, args.suite, args.arm, args.pool)
    except ValueError as error:
        parser.error(str(error))
    sys.stderr.write(f"{len(todo)} runs to make\n")
    make(todo, args.rows, args.suite, args.workers)


def missing(
    rows: Path, suite: str, arms: Sequence[str] | None, pools: Sequence[str] | None
) -> list[Run]:
    """Runs of a suite that have no row; an arm that the suite has not is tried on all its pools."""
    from suites import suite as suite_named

    without_torn_line(rows)
    known = read(rows)
    done = {key(row) for row in known}
    chosen = suite_named(suite, known)
    found = chosen.runs()
    for name in arms or ():
        if name not in chosen.arms:
            from arms import named

            named(name)
            found += chosen._replace(arms=[name]).runs()
    return [
        run
        for run in found
        if (not arms or run.arm in arms)
        and (not pools or run.pool in pools)
        and key({**run._asdict(), "suite": suite, "settings": asdict(run.settings)}) not in done
    ]


def make(todo: Sequence[Run], rows: Path, suite: str, workers: int) -> None:
    """Make runs side by side and append their rows; a run that fails stops what has not begun."""
    context = multiprocessing.get_context("spawn")
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(_one, run) for run in todo]
        for count, done in enumerate(as_completed(waiting), start=1):
            try:
                row = done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            with rows.open("a") as file:
                file.write(json.dumps({"suite": suite, **row}) + "\n")
            left = (time.monotonic() - began) / count * (len(todo) - count)
            sys.stderr.write(
                f"{count}/{len(todo)} {row['pool']} {row['arm']} {row['seed']}: "
                f"area {row['area']:.3f}, {left / 60:.0f} min left\n"
            )


def _one(run: Run) -> dict[str, Any]:
    from train import train

    return train(*run)


if __name__ == "__main__":
    main()
