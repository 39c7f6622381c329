"""What was measured, as JSON lines: appended batch by batch, and gone on with after a kill."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

from sparft_plugin.difficulty.solved import Tally, Verdict, parse_object
from sparft_plugin.errors import SparftError

MEND = "pass --overwrite to start over, or choose another output."
LogT = TypeVar("LogT", bound="MeasurementLog")


class MeasurementLog:
    """A header with the settings, then the records of one prompt after the other.

    A record is ``{id, row, ...}``, with ``too_long`` for a prompt that does not fit the model. A
    prompt counts when all its records are there: ``settings["attempts"]`` of them, or one. What a
    kill left after the last such prompt, half a line included, is cut off when the file is opened.
    The header comes with the first records. One process writes at a time.

    ``settings`` are JSON values of everything that the records depend on; a file with others, of
    another kind or with a broken line is refused, unless ``overwrite`` starts over.
    """

    format: ClassVar[str]
    """Name and version of the format, in the header."""
    kind: ClassVar[str]
    """What a file of it is called in messages."""
    value: ClassVar[str]
    """The number that every record has, unless the prompt is too long."""
    refusal: ClassVar[str]
    """What is said of a row with images or other media."""

    def __init__(self, path: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.path, self.settings = path, dict(settings)
        self.done: set[str] = set()
        """Ids of the prompts that need no more records."""
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise SparftError(f"{path} cannot be written: {error}") from error
        try:
            self._lock()
            if overwrite:
                self._file.truncate(0)
            self._file.truncate(self._read())
        except SparftError:
            self._file.close()
            raise

    def __enter__(self: LogT) -> LogT:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write all the records of some prompts and return when they are on the disk."""
        if not records:
            return
        try:
            if not self._file.seek(0, os.SEEK_END):
                self._file.write(_line({"format": self.format, **self.settings}))
            self._file.writelines(map(_line, records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SparftError(f"{self.path} cannot be written: {error}") from error
        self.done.update(record["id"] for record in records)

    def records(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Byte after each whole line, its number, and its record; the header is left out."""
        self._file.seek(0)
        stop = len(self._file.readline())
        for number, line in enumerate(self._file, 2):
            if not line.endswith(b"\n"):
                return
            stop += len(line)
            record = parse_object(line)
            if record is None or not {"id", "row"} <= record.keys():
                raise self._broken(number, "it is no JSON object with id and row")
            if "too_long" not in record and not isinstance(record.get(self.value), (int, float)):
                raise self._broken(number, f"it has no {self.value}")
            yield stop, number, record

    def _read(self) -> int:
        """Check the header and learn which prompts are done; byte after the last of them."""
        self._file.seek(0)
        header = self._file.readline()
        if header:
            self._check(header)
        end, current, count, wanted = len(header), "", 0, self.settings.get("attempts", 1)
        for stop, number, record in self.records():
            if count and record["id"] != current:
                raise self._broken(number, f"prompt {current} has {count} of {wanted} attempts")
            current, count = record["id"], count + 1
            if "too_long" in record or count == wanted:
                self.done.add(current)
                end, count = stop, 0
        return end

    def _check(self, line: bytes) -> None:
        header = parse_object(line)
        if header is None or header.get("format") != self.format or not line.endswith(b"\n"):
            raise SparftError(f"{self.path} is no {self.kind}; {MEND}")
        wanted = json.loads(_line({"format": self.format, **self.settings}))
        for name in sorted(wanted.keys() | header.keys()):
            old, new = header.get(name), wanted.get(name)
            if old != new:
                made = f"{self.path} was made with {name} {json.dumps(old)}"
                raise SparftError(f"{made}, not {json.dumps(new)}; {MEND}")

    def _lock(self) -> None:
        import fcntl

        try:
            # A record lock, unlike flock, is not handed on to child processes that outlive us.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SparftError(
                f"another process is writing {self.path}; wait for it or choose another output."
            ) from error

    def _broken(self, number: int, reason: str) -> SparftError:
        return SparftError(f"{self.path}, line {number} is broken ({reason}); {MEND}")


class AttemptLog(MeasurementLog):
    """Every attempt at each prompt: ``{id, row, attempt, response, score, acc, tokens, ...}``."""

    format = "sparft attempts 1"
    kind = "log of attempts"
    value = "score"
    refusal = (
        "only text can be attempted here; log rollouts of a training (trainer.rollout_data_dir) "
        "and give reduce --difficulty rollouts:DIR."
    )

    def tallies(self, solved_above: float) -> dict[str, Tally]:
        """Count the attempts at every prompt, by its id; see ``Verdict.solved``."""
        verdicts: dict[str, list[Verdict]] = {}
        for _, _, record in self.records():
            own = verdicts.setdefault(record["id"], [])
            if "too_long" not in record:
                own.append(Verdict(record["score"], record.get("acc")))
        return {key: Tally.of(own, solved_above) for key, own in verdicts.items()}


class AngleLog(MeasurementLog):
    """ANGLES.jsonl: ``{id, row, angle, intra, inter, tokens}`` of each prompt."""

    format = "sparft angles 1"
    kind = "file of `sparft angles`"
    value = "angle"
    refusal = "angles are of text only; drop the row."

    def angles(self) -> dict[str, float]:
        """Angle by prompt id, NaN for a prompt that is too long."""
        return {record["id"]: record.get("angle", math.nan) for _, _, record in self.records()}


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # A response may hold half of a surrogate pair.
    return (text + "\n").encode("utf-8", "replace")
