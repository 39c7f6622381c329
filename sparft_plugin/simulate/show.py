"""A comparison as a table in Markdown with its verdict, and as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparft_plugin.errors import import_extra
from sparft_plugin.simulate.compare import BASELINE, Comparison, band

COLUMNS = "method|prompts to goal|against uniform|final pass rate|mean pass rate|wasted groups"
SMOOTH = 5
"""Steps that a point of the curve of wasted groups is the mean of."""


def table(comparison: Comparison) -> str:
    """Methods by prompts to the goal, means over seeds with 95 % intervals; then the verdict."""
    idle = bool((~comparison.learned).any())
    columns = [*COLUMNS.split("|"), *["picks that teach nothing"] * idle, "arm shares"]
    rates = comparison.runs[BASELINE].pass_rates
    seeds, start = len(rates), rates[:, 0].mean()
    best, *others = comparison.ranking()
    level = [other for other in others if best not in comparison.better_than(other)]
    verdict = f"Fewest prompts: {best}."
    if level:
        verdict += f" Not told apart from it by these seeds: {', '.join(level)}."
    lines = [
        f"## {comparison.scenario}",
        "",
        f"{comparison.setting.about}. Pass rate at the start {start:.1%}, goal "
        f"{comparison.goal:.1%} (90 % of the rise of uniform); "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}.",
        "",
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
    ]
    for label in [best, *others]:
        prompts, *shares = comparison.figures(label).values()
        needed = f"{prompts.mean:.0f} ± {prompts.half:.0f}"
        reached = comparison.prompts_to_goal(label)[1]
        if reached < seeds:
            needed = f"> {needed} ({reached} of {seeds} reached it)"
        gap = comparison.against(label, BASELINE)
        percents = [f"{mean:.1%} ± {half:.1%}" for mean, half in shares]
        arms = comparison.runs[label].arm_shares.mean(axis=0)
        cells = [
            label,
            needed,
            "-" if label == BASELINE else f"{gap.mean:+.0f} ± {gap.half:.0f}",
            *(percents if idle else percents[:-1]),
            f"{arms.min():.1%} to {arms.max():.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", verdict]
    lines += [f"Left out: {label}: {why}" for label, why in comparison.skipped.items()]
    return "\n".join(lines) + "\n"


def draw(comparison: Comparison, path: Path) -> None:
    """Draw pass rate, wasted groups and arm shares as PNG.

    Raises
    ------
    SparftError
        If matplotlib is not installed.
    """
    import_extra("report", "the picture", "matplotlib")
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    labels = comparison.ranking()
    figure = Figure(figsize=(13, 7), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[3, 2])
    rates, wasted, shares = map(figure.add_subplot, (grid[:, 0], grid[0, 1], grid[1, 1]))
    for i, label in enumerate(labels):
        runs, colour = comparison.runs[label], colormaps["tab20"](i % 20)
        mean, half = runs.pass_rates.mean(axis=0), band(runs.pass_rates)
        prompts = np.arange(len(mean)) * comparison.setting.batch_size
        rates.plot(prompts, mean, color=colour, label=label)
        rates.fill_between(prompts, mean - half, mean + half, color=colour, alpha=0.15, lw=0)
        waste = runs.wasted.mean(axis=0)
        if len(waste) >= SMOOTH:
            smooth = np.convolve(waste, np.ones(SMOOTH) / SMOOTH, "valid")
            wasted.plot(prompts[SMOOTH:], smooth, color=colour)
    rates.axhline(comparison.goal, color="black", lw=0.8, ls=":")
    rates.set(
        xlabel="prompts used",
        ylabel="pass rate on the target distribution",
        title=f"{comparison.scenario}: {comparison.setting.about}",
    )
    rates.legend(loc="upper left", frameon=False, fontsize="small")
    wasted.set(title=f"Wasted groups, mean of {SMOOTH} steps", ylim=(0, 1))
    for axes in (rates, wasted):
        axes.spines[["top", "right"]].set_visible(False)
    means = [comparison.runs[label].arm_shares.mean(axis=0) for label in labels]
    image = shares.imshow(np.stack(means), aspect="auto", cmap="Blues", vmin=0)
    shares.set_yticks(range(len(labels)), labels, fontsize="small")
    names = [f"{arm}{'' if learned else '*'}" for arm, learned in enumerate(comparison.learned)]
    if len(names) <= 30:
        shares.set_xticks(range(len(names)), names, fontsize="small")
    shares.set(xlabel="arm (* teaches nothing)", title="Share of the picks")
    figure.colorbar(image, ax=shares)
    figure.savefig(path, dpi=120, format="png")
