"""A reduction as one self-contained page: what was kept, why, and how well it stands for all."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparft_plugin.errors import import_extra
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.report.reduction_figures import (
    arm_colours,
    cluster_map,
    curve,
    histogram,
    strip,
)

if TYPE_CHECKING:
    from jinja2 import Template

UNKNOWN = "\u2013"
SAMPLES, LONGEST = 5, 700
"""Kept prompts that are shown of each arm, and their characters."""
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, marks that turn the direction of what follows, halves of surrogate pairs."""


def reduction_page(reduction: Reduction, prompts: PromptTable) -> str:
    """Draw a reduction, fresh from ``reduce``, as an HTML page that needs nothing but itself.

    The page has no script and asks for no file or font from anywhere, which its content security
    policy enforces; texts of the data are shown as text whatever they hold, long ones shortened.
    The same arguments give the same characters. It takes matplotlib and jinja2.
    """
    import_extra("report", "the page", "matplotlib", "jinja2")
    pool, manifest = reduction.pool, reduction.manifest
    if pool is None:
        raise ValueError("a reduction without its pool cannot be drawn")
    arms, counts, scores = (manifest[k] for k in ("arms", "difficulty_histogram", "silhouette"))
    colours = arm_colours(len(arms))
    return _template().render(
        m=manifest,
        arms=arms,
        colours=colours,
        seconds=reduction.seconds,
        words=[", ".join(shorten(w, 40) for w in arm["words"]) or "no words" for arm in arms],
        samples=_samples(reduction, prompts),
        graded=any(arm["mean_difficulty"] is not None for arm in arms),
        widest=max(float(arm["radius"] or 0) for arm in arms) or 1.0,
        cluster_map=cluster_map(pool, colours),
        histogram=histogram(counts) if counts else None,
        strips=_strips(manifest["coverage"], pool.random_coverage()),
        curve=curve(scores, len(arms)) if scores else None,
    )


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters that can be shown; line breaks stay, empty lines go."""
    start = re.sub(r"\s*\n\s*", "\n", _UNSEEN.sub("", text[: 4 * limit])).strip()
    if len(start) <= limit and len(text) <= 4 * limit:
        return start
    cut = start[: limit - 1]
    space = max(cut.rfind(" "), cut.rfind("\n"))
    return (cut[:space] if space > limit // 2 else cut).rstrip() + "…"


def share(part: float, whole: float) -> str:
    """Percentage with as many digits as tell something: 1.3 %, 0.04 %."""
    percent = 100 * part / whole if whole else 0.0
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 0.1 else 2
    return f"{percent:.{digits}f}\u00a0%"


def verdict(ours: float, drawn: Sequence[float]) -> str:
    """Where a measure, the smaller the better, stands among the same of random subsets."""
    below, total = sum(ours < value for value in drawn), len(drawn)
    if below == total or all(ours > value for value in drawn):
        place = f"{'smaller' if below else 'larger'} than all {total} random subsets"
    else:
        place = f"smaller than {below} of {total} random subsets"
    median = statistics.median(drawn)
    if not median:
        return place
    side = "below" if ours < median else "above"
    return f"{place}; {share(abs(ours - median), median)} {side} their median"


def _strips(ours: Mapping[str, float | None], random: Mapping[str, Any]) -> list[dict[str, str]]:
    """Coverage against random subsets; none where an arm has no kept prompt to be near to."""
    strips = []
    names = {"radius": "largest distance (radius)", "mean_distance": "mean distance"}
    for key, name in names.items():
        value, drawn = ours[key], [draw for draw in random[key] if math.isfinite(draw)]
        if value is not None and drawn:
            label = f"{name} {value:.3f}: {verdict(value, drawn)}"
            strips.append({"label": label, "image": strip(value, drawn)})
    return strips


def _samples(reduction: Reduction, prompts: PromptTable) -> list[list[str]]:
    """Texts of the first prompts that were kept of each arm."""
    position = {name: i for i, name in enumerate(prompts.ids)}
    samples: list[list[str]] = [[] for _ in reduction.manifest["arms"]]
    for name, arm in zip(reduction.ids, reduction.arms.tolist(), strict=True):
        if len(samples[arm]) < SAMPLES:
            samples[arm].append(shorten(prompts.texts[position[name]], LONGEST))
    return samples


def _plain(value: Any) -> str:
    """Value of an option: text as it is, anything else as JSON."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shorten(shown, 400)


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda value: UNKNOWN if value is None else f"{value:,}",
        "decimal": lambda value: UNKNOWN if value is None else f"{value:.2f}",
        "plain": _plain,
        "shorten": shorten,
    }
    environment.globals["share"] = share
    return environment.get_template("reduction.html")
