"""Write the figures of ``benchmarks/results`` into the README, between its two markers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from memory_table import memory_resume_table, memory_store_table, memory_table

RESULTS = Path(__file__).with_name("results")
README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- benchmarks: {} by `make bench` -->", "<!-- end of {} benchmarks -->"


def reduction_table(result: dict[str, Any]) -> list[str]:
    """Lines about reductions."""
    shape = result["embeddings"]
    lines = [
        f"Reduction of embeddings from disk ({shape['width']} numbers each, float32) to "
        f"{shape['clusters']} clusters of {shape['per_cluster']}, against plain scikit-learn "
        f"(PCA, MiniBatchKMeans, a NumPy loop), {result['cores']} cores:",
        "",
        "| rows | seconds | plain | faster | peak memory | plain | µs a row |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for point in shape["points"]:
        ours, plain = point["ours"], point["plain"]
        lines.append(
            f"| {point['rows']:,} | {ours['seconds']:.1f} | {plain['seconds']:.1f} | "
            f"{point['speed_over_plain']:.1f}x | {ours['peak_gib']:.2f} GiB | "
            f"{plain['peak_gib']:.2f} GiB | {point['microseconds_per_row']:.0f} |"
        )
    if result["gsm8k"]:
        lines += ["", *gsm8k_lines(result["gsm8k"])]
    if result.get("cached"):
        cached = result["cached"]
        lines += [
            "",
            f"`sparft reduce` of {cached['rows']:,} questions that are in the cache takes "
            f"{cached['cpu_seconds']:.1f} s of CPU.",
        ]
    return lines


def gsm8k_lines(result: dict[str, Any]) -> list[str]:
    """Lines about the GSM8K training questions."""
    random = result["random_radius_of_100_draws"]
    lines = [
        f"GSM8K, {result['prompts']:,} questions to {result['kept']}: encoding "
        f"{'all' if result.get('sample') is None else format(result['sample'], ',')} took "
        f"{result['encoding_seconds']:.0f} s, everything else {result['other_seconds']:.1f} s, "
        f"{100 * result['other_over_encoding']:.1f} % of it. Distance of a question to the nearest "
        "kept one of its arm, where all are encoded:",
        "",
        "| selector | largest (radius) | mean |",
        "|---|---:|---:|",
    ]
    for name, coverage in result["coverage"].items():
        lines.append(f"| `{name}` | {coverage['radius']:.3f} | {coverage['mean_distance']:.3f} |")
    lines += [
        "",
        f"Of 100 random choices the best radius was {random['smallest']:.3f}, the median "
        f"{random['median']:.3f}.",
    ]
    return lines


def curriculum_table(result: dict[str, Any]) -> list[str]:
    """Lines about curricula."""
    limits = result["limits_ms"]
    lines = [
        f"A round of `select({result['batch']})` and `observe` of as many groups, with "
        f"{result['prompts']:,} prompts in {result['arms']:,} arms, {result['cores']} cores. The "
        f"aim is {limits['arm']:.0f} ms for methods over arms, {limits['prompt']:.0f} ms over "
        "prompts:",
        "",
        "| method | unit | median ms | save and load, s | bytes a prompt |",
        "|---|---|---:|---:|---:|",
    ]
    for method in result["methods"]:
        missed = " (missed)" if method["round_ms_median"] > limits[method["unit"]] else ""
        lines.append(
            f"| `{method['method']}` | {method['unit']} | {method['round_ms_median']:.1f}{missed} |"
            f" {method['save_s'] + method['load_s']:.1f} | {method['bytes_a_prompt']} |"
        )
    return lines


def startup_table(result: dict[str, Any]) -> list[str]:
    """Lines about what a run waits for before its first rollout."""
    limits = result["limits"]
    lines = [
        "From the command line to the first batch, imports left out: preflight's check of the "
        f"training file and the training dataset, {result['cores']} cores. The aim is "
        f"{limits['seconds']:.0f} s and {limits['peak_gb']:.0f} GB for the largest file:",
        "",
        "| rows | run | seconds | of them preflight | resumed | peak memory | verl alone |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for point in result["points"]:
        for name in result["names"]:
            first, again = point[name]["first"], point[name]["again"]
            missed = first["seconds"] > limits["seconds"] or first["peak_gb"] > limits["peak_gb"]
            lines.append(
                f"| {point['rows']:,} | `{name}` | {first['seconds']:.1f}"
                f"{' (missed)' if missed else ''} | {first['preflight']['seconds']:.1f} | "
                f"{again['seconds']:.1f} | {first['peak_gb']:.2f} GB | "
                f"{point['verl']['seconds']:.1f} s, {point['verl']['peak_gb']:.2f} GB |"
            )
    return lines


def refreshed(text: str, name: str, lines: list[str]) -> str:
    """The README with one of its tables replaced."""
    start, end = START.format(name), END.format(name)
    if start not in text or end not in text:
        raise SystemExit(f"{README.name} lacks the markers {start!r} and {end!r}.")
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return before + "\n".join([start, "", *lines, "", end]) + after


TABLES = {
    "reduction": reduction_table,
    "curriculum": curriculum_table,
    "startup": startup_table,
    "memory": memory_table,
    "memory_store": memory_store_table,
    "memory_resume": memory_resume_table,
}


def main() -> None:
    """Refresh the README."""
    text = README.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        text = refreshed(text, name, table(result))
    README.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote the tables in {README.name}\n")


if __name__ == "__main__":
    main()
