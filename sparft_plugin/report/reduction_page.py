"""A reduction as one self-contained page: what was kept, why, and how well it stands for all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparft_plugin.errors import SparftError
from sparft_plugin.report import reduction_text as text
from sparft_plugin.report.reduction_charts import Strip, curve, histogram, strip
from sparft_plugin.report.reduction_map import arm_colours, cluster_map

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).with_name("templates")
SAMPLE = 700
MANIFEST = (
    *("method", "version", "options", "seed", "encoder", "source", "fingerprint", "pool", "kept"),
    *("duplicates", "near_duplicates", "contaminated", "shortfall", "difficulty", "arms"),
    *("difficulty_histogram", "coverage", "silhouette", "seconds"),
)
ARM = ("arm", "words", "pool", "kept", "mean_difficulty", "radius", "mean_distance")
POINT = ("x", "y", "arm", "kept", "text")


def reduction_page(manifest: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """Draw a reduction as an HTML page that needs nothing but itself.

    The page asks for no file, font or script from anywhere, which its content security policy
    enforces; texts of the data are shown as text whatever they hold. Long texts are shortened.

    Parameters
    ----------
    manifest : mapping
        Manifest of the reduction: counts, ``arms``, ``difficulty_histogram``, ``coverage``,
        ``silhouette``, ``options`` and ``seconds``.
    view : mapping
        ``points``, at most some thousands of {x, y, arm, kept, text} on the first two principal
        components, and ``samples``, a list of texts for each arm (keys are strings).

    Returns
    -------
    str
        The page. The same arguments give the same characters.

    Raises
    ------
    SparftError
        If the manifest, an arm or a point lacks a key that the page needs.
    """
    for arm in _with_keys(manifest, "the manifest", MANIFEST)["arms"]:
        _with_keys(arm, "an arm of the manifest", ARM)
    for point in view.get("points") or ():
        _with_keys(point, "a point of the view", POINT)
    return _environment().get_template("reduction.html").render(_context(manifest, view))


def _with_keys(record: Mapping[str, Any], name: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    missing = [key for key in keys if key not in record]
    if missing:
        raise SparftError(
            f"{name} has no key '{missing[0]}'; make the page with the version of sparft that made "
            "the reduction."
        )
    return record


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": text.count,
        "decimal": text.decimal,
        "plain": text.plain,
        "shorten": text.shorten,
    }
    environment.globals["share"] = text.share
    return environment


def _context(manifest: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, Any]:
    script, style = (
        (FOLDER / f"reduction.{kind}").read_text(encoding="utf-8") for kind in ("js", "css")
    )
    arms = manifest["arms"]
    samples = view.get("samples") or {}
    return {
        "m": manifest,
        "arms": arms,
        "words": {arm["arm"]: [text.shorten(w, 40) for w in arm["words"]] for arm in arms},
        "colours": arm_colours(arm["arm"] for arm in arms),
        "samples": {
            arm["arm"]: [
                text.shorten(sample, SAMPLE, lines=True)
                for sample in samples.get(str(arm["arm"]), ())
            ]
            for arm in arms
        },
        "graded": any(arm["mean_difficulty"] is not None for arm in arms),
        "left_out": _left_out(manifest),
        "widest": max((float(arm["radius"] or 0) for arm in arms), default=0) or 1.0,
        "largest": max((arm["pool"] for arm in arms), default=0) or 1,
        "map": cluster_map(view.get("points") or ()),
        "histogram": histogram(manifest["difficulty_histogram"]),
        "strips": _strips(manifest["coverage"]),
        "curve": curve(manifest["silhouette"], len(arms)),
        "script": script,
        "style": style,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def _left_out(manifest: Mapping[str, Any]) -> Sequence[tuple[str, int | None, str]]:
    return (
        ("duplicates", manifest["duplicates"], "rows that repeat an earlier prompt"),
        ("near-duplicates", manifest["near_duplicates"], "prompts that say almost the same"),
        ("contaminated", manifest["contaminated"], "prompts that an evaluation set holds too"),
        ("shortfall", manifest["shortfall"], "places that clusters were too small to fill"),
    )


def _strips(coverage: Mapping[str, Any]) -> list[Strip]:
    random = coverage.get("random") or {}
    measures = (("radius", "radius, the largest distance,"), ("mean_distance", "mean distance"))
    drawn = (strip(name, coverage[key], random.get(key) or ()) for key, name in measures)
    return [found for found in drawn if found is not None]
