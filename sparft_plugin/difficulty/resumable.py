"""A file of JSON lines that is appended batch by batch, and gone on with after a kill."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Self

from sparft_plugin.errors import SparftError

MEND = "pass --overwrite to start over, or choose another output."


class ResumableLog(ABC):
    """JSON lines: a header with the settings, then records.

    What a kill left after the last finished record, half a line included, is cut off when the file
    is opened. A file without records takes other settings. One process writes at a time.

    Parameters
    ----------
    path : path
        The file; made if it does not exist.
    settings : mapping
        Everything the records depend on, in JSON values.
    overwrite : bool, default False
        Start over whatever stands there.

    Attributes
    ----------
    header : str
        Name and version of the format, the header's ``format``.
    kind : str
        What a file of it is called in messages.

    Raises
    ------
    SparftError
        If the file cannot be written, another process writes to it, it is of another kind, a line
        is broken, or it was made with other settings.
    """

    header: ClassVar[str]
    kind: ClassVar[str]

    def __init__(self, path: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.path, self.settings = path, dict(settings)
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise SparftError(f"{path} cannot be written: {error}") from error
        try:
            self._lock()
            self._begin({"format": self.header, **settings}, overwrite)
        except SparftError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @abstractmethod
    def take_in(self, start: int) -> int:
        """Read what is finished, with ``records``.

        Parameters
        ----------
        start : int
            Byte after the header.

        Returns
        -------
        int
            Byte after the last finished record, or ``start``; the file is cut off there.
        """

    def records(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Byte after each whole line, its number, and its record; the header is left out.

        Raises
        ------
        SparftError
            If a line is no JSON object.
        """
        self._file.seek(0)
        stop = len(self._file.readline())
        for number, line in enumerate(self._file, 2):
            if not line.endswith(b"\n"):
                return
            stop += len(line)
            record = _parsed(line)
            if record is None:
                raise self.broken(number, "it is no JSON object")
            yield stop, number, record

    def broken(self, number: int, reason: str) -> SparftError:
        """Error about a line."""
        return SparftError(f"{self.path}, line {number} is broken ({reason}); {MEND}")

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records and return when they are on the disk.

        Raises
        ------
        SparftError
            If the disk refuses.
        """
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.writelines(map(_line, records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SparftError(f"{self.path} cannot be written: {error}") from error

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
        empty = not self._file.read(1)
        wanted = _line(header)
        # A kill may have cut off the header itself.
        begun = not first.endswith(b"\n") and wanted.startswith(first)
        if begun or self._differs(first, json.loads(wanted), empty):
            self._file.truncate(0)
            self.write([header])
            first = wanted
        self._file.truncate(self.take_in(len(first)))

    def _differs(self, first: bytes, wanted: Mapping[str, Any], empty: bool) -> bool:
        """Whether the settings are others, which only a file without records may have."""
        header = _parsed(first)
        if not first.endswith(b"\n") or header is None or header.get("format") != self.header:
            raise SparftError(f"{self.path} is no {self.kind}; {MEND}")
        for name in sorted(wanted.keys() | header.keys()):
            if header.get(name) != wanted.get(name):
                if empty:
                    return True
                raise SparftError(
                    f"{self.path} was made with {name} {json.dumps(header.get(name))}, not "
                    f"{json.dumps(wanted.get(name))}; {MEND}"
                )
        return False


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # A response may hold half of a surrogate pair.
    return (text + "\n").encode("utf-8", "replace")
