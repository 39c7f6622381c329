"""Lines of the README about the episodic memory."""

from __future__ import annotations

from typing import Any


def memory_table(result: dict[str, Any]) -> list[str]:
    """Lines about encoding, scoring and writing a step, and about step times in verl."""
    rates, limits, texts = result["rates"], result["limits"], result["texts_encoded"]
    floor = rates[result["floor"]]
    lines = [
        f"A step of {result['rollouts']:,} GSM8K-length rollouts of {result['prompts']} prompts, "
        f"{100 * result['unique_share']:.0f} % of them different, encoded, scored and written, "
        f"against the access pattern of Memory-R's released code "
        f"({rates['baseline']['rollouts_per_second']:.0f} rollouts a second; it encodes "
        f"{texts['baseline']:,} texts where {texts['ours']:,} differ) and against encoding those "
        f"once in batches ({floor['seconds']:.1f} s), all-MiniLM-L6-v2, "
        f"{result['cores']} cores. The aim is {limits['over_baseline']:.0f}x and at most "
        f"{limits['over_floor']:.2f} of the floor in float32, "
        f"{limits['fastest_over_baseline']:.0f}x with the fastest way; in brackets the same by CPU "
        "time, which other work on the machine disturbs less:",
        "",
        "| `sparft.memory_encoder` | rollouts a second | over the released pattern | of the floor "
        "| least cosine to float32 |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, cosine in result["cosines"].items():
        way = rates[name]
        lines.append(
            f"| {name} | {way['rollouts_per_second']:.0f} | {way['over_baseline']:.1f}x "
            f"({way['over_baseline_cpu']:.1f}x) | {way['over_floor']:.2f} "
            f"({way['over_floor_cpu']:.2f}) | {cosine['cosine_min']:.5f} |"
        )
    lines += [
        "",
        "| `batch_tokens` with torch | CPU ms a text, many at once | a text alone |",
        "|---:|---:|---:|",
    ]
    for row in result["by_batch_tokens"]:
        lines.append(f"| {row['batch_tokens']} | {row['together_ms']} | {row['alone_ms']} |")
    if queries := result.get("queries"):
        lines += [
            "",
            f"{result['prompts']} new prompts take {queries['encoding_ms']:.0f} ms to encode; "
            f"begun with a generation of 2 s, {queries['waited_ms']:.1f} ms of it are waited for "
            "(aim: below 50).",
        ]
    return lines + (verl_lines(result["verl"], limits["step"]) if result["verl"] else [])


def verl_lines(verl: dict[str, Any], limit: float) -> list[str]:
    """Lines about the step time of real runs."""
    on, off = verl["step_s_median"]["on"], verl["step_s_median"]["off"]
    return [
        "",
        f"The quickstart's training with the memory: median step {on:.2f} s, without {off:.2f} s, "
        f"a ratio of {verl['ratio']:.2f} (aim: at most {limit:.2f}).",
    ]


def memory_store_table(result: dict[str, Any]) -> list[str]:
    """Lines about search and bookkeeping alone."""
    limits = result["limits"]
    lines = [
        f"Search and bookkeeping alone, embeddings given, memory full "
        f"({result['queries']:,} questions x {result['responses_per_query']} responses of "
        f"{result['dimension']} numbers, for successes and for failures): a step of "
        f"{result['rollouts']:,} rollouts, {result['cores']} cores. The aim is "
        f"{limits['step_ms']:.0f} ms and {limits['bytes_ratio']} bytes per byte of embeddings:",
        "",
        "| memory | ms a step | score | write | bytes per byte |",
        "|---|---:|---:|---:|---:|",
    ]
    for case in result["cases"]:
        missed = case["step_ms"] > limits["step_ms"] or case["bytes_ratio"] > limits["bytes_ratio"]
        lines.append(
            f"| {case['case']} | {case['step_ms']:.0f}{' (missed)' if missed else ''} | "
            f"{case['score_ms']:.0f} | {case['write_ms']:.0f} | {case['bytes_ratio']:.2f} |"
        )
    return lines


def memory_resume_table(result: dict[str, Any]) -> list[str]:
    """Lines about a large memory that is saved, lost and resumed."""
    exact = result["same_state"] and result["same_pay"]
    seconds = result["state_s"] + result["save_s"]
    return [
        f"A memory of {result['embedding_gb']:.1f} GB of embeddings, saved as verl does, its "
        f"process killed, and resumed, goes on {'exactly' if exact else 'DIFFERENTLY'}. The file "
        f"takes {result['file_over_embeddings']:.2f} of their bytes. Saving takes {seconds:.1f} s "
        f"and {result['peak_of_save_over_held']:.2f} of the memory that the process holds anyway, "
        f"loading {result['load_s']:.1f} s and {result['peak_of_load_over_embeddings']:.2f} of the "
        "embeddings' bytes.",
    ]
