"""ANGLES.jsonl: appended batch by batch, and gone on with after a kill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from sparft_plugin.angles.prefill import Angle, TooLong
from sparft_plugin.difficulty.resumable import ResumableLog


class Measured(NamedTuple):
    """One line of the file."""

    id: str
    row: int
    """Row of the prompt in its corpus."""
    result: Angle | TooLong
    tokens: int
    """Length of the prompt in tokens."""


class AngleLog(ResumableLog):
    """Lines ``{id, row, angle, intra, inter, tokens}``; see ``ResumableLog``.

    A prompt that does not fit the model has ``too_long`` in place of the angles.
    """

    header: ClassVar[str] = "sparft angles 1"
    kind: ClassVar[str] = "file of `sparft angles`"

    angles: dict[str, float]
    """Angle by prompt id, NaN for a prompt that is too long."""

    def append(self, batch: Sequence[Measured]) -> None:
        """Write prompts and return when they are on the disk.

        Raises
        ------
        SparftError
            If the disk refuses.
        """
        self.write([_record(measured) for measured in batch])
        for measured in batch:
            angle = measured.result.angle if isinstance(measured.result, Angle) else math.nan
            self.angles[measured.id] = angle

    def take_in(self, start: int) -> int:
        """Learn the angles that were measured."""
        self.angles, end = {}, start
        for stop, number, record in self.records():
            try:
                angle = math.nan if "too_long" in record else float(record["angle"])
                self.angles[str(record["id"])] = angle
            except (ValueError, TypeError, KeyError) as error:
                raise self.broken(number, "it is no angle") from error
            end = stop
        return end


def _record(measured: Measured) -> dict[str, Any]:
    place = {"id": measured.id, "row": measured.row}
    if isinstance(measured.result, TooLong):
        return {**place, "too_long": measured.result.tokens}
    intra, inter = measured.result
    return {
        **place,
        "angle": measured.result.angle,
        "intra": intra,
        "inter": inter,
        "tokens": measured.tokens,
    }
