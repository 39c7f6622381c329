"""A comparison as a table in Markdown, with what it shows and what it does not."""

from __future__ import annotations

from sparft_plugin.simulate.compare import BASELINE, Comparison, Figure

HEAD = (
    "| method | prompts to goal | against uniform | final pass rate | mean pass rate | "
    "wasted groups |"
)


def table(comparison: Comparison) -> str:
    """Methods by prompts to the goal, means over seeds with 95 % intervals; then the verdict."""
    idle = ~comparison.learned
    head = HEAD + (" picks that teach nothing |" if idle.any() else "") + " arm shares |"
    seeds = len(next(iter(comparison.runs.values())).pass_rates)
    start = next(iter(comparison.runs.values())).pass_rates[:, 0].mean()
    lines = [
        f"## {comparison.scenario}",
        "",
        f"{comparison.about}. Pass rate at the start {start:.1%}, goal {comparison.goal:.1%} "
        f"(90 % of the rise of uniform); {seeds} {'seed' if seeds == 1 else 'seeds'}.",
        "",
        head,
        "|" + "---|" * (head.count("|") - 1),
    ]
    for label in comparison.ranking():
        runs, (prompts, reached) = comparison.runs[label], comparison.prompts_to_goal(label)
        shares = runs.arm_shares
        needed = f"{Figure.of(prompts).mean:.0f} ± {Figure.of(prompts).half:.0f}"
        if reached < seeds:
            needed = f"> {needed} ({reached} of {seeds} reached it)"
        gap = comparison.against(label, BASELINE)
        cells = [
            label,
            needed,
            "-" if label == BASELINE else f"{gap.mean:+.0f} ± {gap.half:.0f}",
            _percent(Figure.of(runs.pass_rates[:, -1])),
            _percent(Figure.of(runs.pass_rates.mean(axis=1))),
            _percent(Figure.of(runs.wasted.mean(axis=1))),
        ]
        if idle.any():
            cells.append(_percent(Figure.of(shares[:, idle].sum(axis=1))))
        mean = shares.mean(axis=0)
        cells.append(f"{mean.min():.1%} to {mean.max():.1%}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", _verdict(comparison)]
    lines += [f"Left out: {label}: {why}" for label, why in comparison.skipped.items()]
    return "\n".join(lines) + "\n"


def _verdict(comparison: Comparison) -> str:
    best, *others = comparison.ranking()
    level = [other for other in others if best not in comparison.better_than(other)]
    text = f"Fewest prompts: {best}."
    if level:
        text += f" Not told apart from it by these seeds: {', '.join(level)}."
    return text


def _percent(figure: Figure) -> str:
    return f"{figure.mean:.1%} ± {figure.half:.1%}"
