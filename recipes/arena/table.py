"""Tables, answers and pictures from the rows, into the README and docs/arena.md.

python recipes/arena/table.py                    # everything, from the rows as they are
python recipes/arena/table.py --arm NAME         # one arm beside uniform and the oracle, here
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pictures
from answers import answers, by_pool
from pools import POOLS
from results import BASE, TWINS, Headroom, Results, Verdict, headroom, verdicts
from rows import ROWS, read
from scipy.stats import spearmanr
from simulated import SIMULATED, agreement
from stats import Interval
from suites import suite

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("screen", "decide")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=Path, default=ROWS, help="file of rows")
    parser.add_argument("--arm", help="print this arm's lines and write nothing")
    parser.add_argument("--suite", default="screen", help="of --arm")
    args = parser.parse_args(argv)
    rows = read(args.rows)
    rooms = headroom([row for row in rows if row["suite"] == "headroom"])
    if args.arm:
        results = Results([row for row in rows if row["suite"] == args.suite], rooms)
        shown = [v for v in verdicts(results) if v.arm in (args.arm, "oracle")]
        sys.stdout.write(ranking(shown) + "\n" + pool_table(results, [args.arm, "oracle"]))
        return
    page = ROOT / "docs" / "arena.md"
    put(page, "pools", rooms_table(rooms))
    pictures.headroom(rooms, ROOT / "docs" / "arena-pools.png")
    on_trl, on_verl = (
        Results([row for row in rows if row["suite"] == name], {}) for name in ("hosts", "verl")
    )
    if on_trl.rows and on_verl.rows:
        put(page, "hosts", hosts_table(on_trl, on_verl))
    for name in SUITES:
        results = Results([row for row in rows if row["suite"] == name], rooms)
        if not results.rows:
            continue
        made = {(row["pool"], row["arm"], row["seed"]) for row in results.rows}
        wanted = suite(name, rows).runs()
        missing = [run for run in wanted if run[:3] not in made]
        if missing:
            # What is read before a suite is whole would be a look.
            sys.stderr.write(f"{name} lacks {len(missing)} of {len(wanted)} rows: not read yet\n")
            continue
        found = verdicts(results)
        agrees = agreement(results, json.loads(SIMULATED.read_text()))
        told = "\n\n".join(answers(results, {v.arm: v for v in found}, agrees))
        put(page, name, section(name, told, results, found))
        put(ROOT / "README.md", "arena", told)
        put(ROOT / "docs" / "simulate.md", "agreement", agrees)
        pictures.forest(found, ROOT / "docs" / f"arena-{name}.png")
        pictures.curves(results, found, ROOT / "docs" / f"arena-{name}-curves.png")


def section(name: str, told: str, results: Results, found: Sequence[Verdict]) -> str:
    """What the page says of a whole suite."""
    parts = [
        "Area is the mean held-out pass rate over the run. All columns are paired differences to "
        "uniform over the\npools that count for wins, with 95 % intervals; `uniform_again` is "
        "uniform with another seed: what chance\ndoes.",
        told,
        ranking(found),
        f"![All arms](arena-{name}.png)",
        "Area against uniform in every pool, in bold where the interval excludes 0:",
        pool_table(results, [v.arm for v in found]),
        f"![Curves](arena-{name}-curves.png)",
    ]
    return "\n\n".join(part.strip() for part in parts)


def put(path: Path, name: str, content: str) -> None:
    """Replace what stands between the marks of a name in a file.

    Raises
    ------
    ValueError
        If the file has no such marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    text = path.read_text()
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{path} has no marks {begin} and {end}; put them where it belongs.")
    path.write_text(pattern.sub(lambda _: f"{begin}\n{content.strip()}\n{end}", text))


def rooms_table(rooms: Mapping[str, Headroom]) -> str:
    """What the pools are, and what can be won in each."""
    lines = [
        "| pool | its 600 prompts | oracle - uniform | standard errors | counts for | target |",
        "|---|---|---|---:|---|---:|",
    ]
    for name, room in rooms.items():
        use = "itself" if name in TWINS else "wins" if room.wins else "no harm"
        lines.append(
            f"| `{name}` | {POOLS[name].about} | {room.gap} | {room.errors:.1f} | {use} "
            f"| {room.target:.3f} |"
        )
    return "\n".join(lines)


def ranking(found: Sequence[Verdict]) -> str:
    """All arms against uniform, best area first."""
    lines = [
        "| arm | area | rollouts saved | P(better) | p | end | `healthy` | solved before | silent "
        "| CPU | probes |",
        "|---|---|---|---:|---:|---|---|---|---:|---:|---:|",
    ]
    for v in found:
        known = "-" if v.known is None else str(v.known)
        lines.append(
            f"| `{v.arm}` | {v.area} | {v.saved} | {v.better:.2f} | {v.p:.3f} | {v.end} "
            f"| {v.healthy} | {known} | {v.silent:.2f} | {v.seconds:.2f} | {v.probes or '-'} |"
        )
    return "\n".join(lines)


def pool_table(results: Results, arms: Sequence[str]) -> str:
    """Mean paired difference in area by arm and pool; in bold where the interval excludes 0."""
    pools = results.pools
    titles = ["arm", *(f"`{pool}`" for pool in pools)]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for arm in arms:
        found = by_pool(results, arm)
        cells = [_cell(found[pool]) if pool in found else "" for pool in pools]
        lines.append(f"| `{arm}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def hosts_table(on_trl: Results, on_verl: Results) -> str:
    """The same runs on both hosts, against uniform, and whether they come in the same order."""
    lines = ["| pool | arm | TRL | verl |", "|---|---|---|---|"]
    ours, theirs = [], []
    for arm in on_trl.arms:
        if arm == BASE:
            continue
        here, there = by_pool(on_trl, arm), by_pool(on_verl, arm)
        for pool in [pool for pool in here if pool in there]:
            lines.append(f"| `{pool}` | `{arm}` | {here[pool]} | {there[pool]} |")
            ours.append(here[pool].value)
            theirs.append(there[pool].value)
    order = spearmanr(ours, theirs).statistic
    same = int((np.sign(ours) == np.sign(theirs)).sum())
    return "\n".join(lines) + (
        f"\n\nThe {len(ours)} differences to uniform have the same sign on both hosts in {same} "
        f"cases; Spearman's rank correlation between the hosts is {order:.2f}."
    )


def _cell(interval: Interval) -> str:
    text = f"{interval.value:+.3f}"
    return f"**{text}**" if interval.low > 0 or interval.high < 0 else text


if __name__ == "__main__":
    main()
