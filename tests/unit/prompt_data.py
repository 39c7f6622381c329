"""Prompts with known difficulties, and groups with known results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sparft_plugin.curriculum import Outcome, Prompt


def pool(*difficulties):
    """Prompts p00, p01, ... of one arm."""
    return [Prompt(f"p{i:02}", 0, difficulty) for i, difficulty in enumerate(difficulties)]


def even(n):
    """n prompts whose difficulties run evenly from 0 to 1."""
    return pool(*np.linspace(0, 1, n).tolist())


def group(pick, right, rollouts):
    accuracies = np.array([1.0] * right + [0.0] * (rollouts - right))
    return Outcome(pick, accuracies, accuracies - accuracies.mean())


def ids(picks):
    return [pick.prompt.id for pick in picks]


def picks_of(curriculum, *wanted):
    """Outstanding picks of these prompts in this order, all others expired."""
    found = {}
    while not set(wanted) <= set(found):
        found.update({pick.prompt.id: pick for pick in curriculum.select(len(curriculum.pool))})
    keep = [found[name] for name in wanted]
    curriculum.expire(set(curriculum.outstanding) - {pick.pick_id for pick in keep})
    return keep


def teach(curriculum, *results):
    """Observe at once one group of each (prompt id, right, rollouts)."""
    picks = picks_of(curriculum, *(name for name, _, _ in results))
    curriculum.observe(
        [group(pick, right, n) for pick, (_, right, n) in zip(picks, results, strict=True)]
    )


def write_lines(path: Path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)
