"""ANGLES.jsonl: appended batch by batch, and gone on with after a kill."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from sparft_plugin.angles.prefill import Angle, TooLong
from sparft_plugin.errors import SparftError

FORMAT = "sparft angles 1"
MEND = "pass --overwrite to start over, or choose another output."


class Measured(NamedTuple):
    """One line of the file."""

    id: str
    row: int
    """Row of the prompt in its corpus."""
    result: Angle | TooLong
    tokens: int
    """Length of the prompt in tokens."""


class AngleLog:
    """JSON lines: a header with the settings, then ``{id, row, angle, intra, inter, tokens}``.

    A prompt that does not fit the model has ``too_long`` in place of the angles. A last line that a
    kill cut off is cut away when the file is opened. One process writes at a time.

    Parameters
    ----------
    path : path
        The file; made if it does not exist.
    settings : mapping
        Everything the angles depend on, in JSON values.
    overwrite : bool, default False
        Start over whatever stands there.

    Raises
    ------
    SparftError
        If the file cannot be written, another process writes to it, it is no such file, a line is
        broken, or it was made with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        self.angles: dict[str, float] = {}
        """Angle by prompt id, NaN for a prompt that is too long."""
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise SparftError(f"{path} cannot be written: {error}") from error
        try:
            self._lock()
            self._begin({"format": FORMAT, **settings}, overwrite)
        except SparftError:
            self._file.close()
            raise

    def __enter__(self) -> AngleLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, batch: Sequence[Measured]) -> None:
        """Write prompts and return when they are on the disk.

        Raises
        ------
        SparftError
            If the disk refuses.
        """
        self._write([_record(measured) for measured in batch])
        for measured in batch:
            angle = measured.result.angle if isinstance(measured.result, Angle) else math.nan
            self.angles[measured.id] = angle

    def _lock(self) -> None:
        import fcntl

        try:
            # A record lock, unlike flock, is not handed on to child processes that outlive us.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SparftError(
                f"another process is writing {self.path}; wait for it or choose another output."
            ) from error

    def _begin(self, header: Mapping[str, Any], overwrite: bool) -> None:
        self._file.seek(0)
        first = b"" if overwrite else self._file.readline()
        wanted = _line(header)
        if not first.endswith(b"\n"):
            if not wanted.startswith(first):
                raise SparftError(f"{self.path} is no file of `sparft angles`; {MEND}")
            self._file.truncate(0)
            self._write([header])
            return
        self._check(first, json.loads(wanted))
        end = len(first)
        for number, line in enumerate(self._file, 2):
            if not line.endswith(b"\n"):
                break
            self._read(number, line)
            end += len(line)
        self._file.truncate(end)

    def _check(self, first: bytes, wanted: Mapping[str, Any]) -> None:
        try:
            header = json.loads(first)
        except ValueError:
            header = None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise SparftError(f"{self.path} is no file of `sparft angles`; {MEND}")
        for name in sorted(wanted.keys() | header.keys()):
            if header.get(name) != wanted.get(name):
                raise SparftError(
                    f"{self.path} was made with {name} {json.dumps(header.get(name))}, not "
                    f"{json.dumps(wanted.get(name))}; {MEND}"
                )

    def _read(self, number: int, line: bytes) -> None:
        try:
            record = json.loads(line)
            angle = math.nan if "too_long" in record else float(record["angle"])
            self.angles[str(record["id"])] = angle
        except (ValueError, TypeError, KeyError) as error:
            raise SparftError(f"{self.path}, line {number} is broken; {MEND}") from error

    def _write(self, records: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.writelines(map(_line, records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SparftError(f"{self.path} cannot be written: {error}") from error


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


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, allow_nan=False) + "\n").encode()
