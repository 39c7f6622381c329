"""The table of attacks and controls, ``attacks.json``, as single cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

TABLE = json.loads((Path(__file__).parent / "attacks.json").read_text(encoding="utf-8"))


class Case(NamedTuple):
    """One response to one prompt."""

    name: str
    truth: str
    response: str


def cases(kind: str) -> list[Case]:
    """Fill every frame of every group with everything the group lists."""
    return [
        Case(f"{group['name']} | {frame} | {fill}", group["truth"], framed(frame, fill))
        for group in TABLE[kind]
        for frame in group["frames"]
        for fill in group["fill"]
    ]


def built() -> list[Case]:
    """Put the long ones together."""
    return [
        Case(b["name"], b["truth"], b["before"] + b["repeat"] * b["times"] + b["after"])
        for b in TABLE["built"]
    ]


def controls(verifier: str) -> list[Case]:
    """Right responses that a verifier must find right."""
    return [
        Case(f"{g['name']} | {frame} | {fill}", g["truth"], framed(frame, fill))
        for g in TABLE["right"]
        if verifier in g["by"]
        for frame in g["frames"]
        for fill in g["fill"]
    ]


def framed(frame: str, fill: str) -> str:
    """Put a text where the frame has its @."""
    return str(TABLE["frames"][frame]).replace("@", fill)
