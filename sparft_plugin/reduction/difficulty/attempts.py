"""The log of every attempt: appended batch by batch, and gone on with after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.difficulty.engine import Response
from sparft_plugin.reduction.difficulty.verifier import Verdict, solved

FORMAT = "sparft attempts 1"
MEND = "pass --overwrite to start over, or choose another output."


class Attempted(NamedTuple):
    """Everything about one prompt that goes into the log at once."""

    id: str
    row: int
    """Row of the prompt in its corpus."""
    attempts: Sequence[tuple[Response, Verdict]]
    """What was generated and how it was judged; empty if the prompt is too long."""
    too_long: int | None = None
    """Length of the prompt in tokens if it leaves no room for a response."""


class Tally(NamedTuple):
    """What is left of a prompt's attempts when they are counted."""

    solve_rate: float
    """Mean accuracy of the attempts, in [0, 1]; NaN if the prompt is too long."""
    mean_score: float
    """Mean score of the attempts, on the verifier's scale; NaN likewise."""
    attempts: int
    """Number of attempts; 0 if the prompt is too long."""


class AttemptLog:
    """JSON lines: a header with the settings, then the attempts of one prompt after the other.

    Only prompts with all their attempts count. What a kill left after the last of them, half a
    line included, is cut off when the log is opened. One process writes at a time.

    Parameters
    ----------
    path : path
        The log; made if it does not exist.
    settings : mapping
        Everything the attempts depend on, in JSON values; ``attempts`` is the number per prompt.
    overwrite : bool, default False
        Start over whatever stands there.

    Raises
    ------
    SparftError
        If the file cannot be written, another process writes to it, it is no log, a line is broken,
        or it was made with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.path, self.settings = path, dict(settings)
        self.done: set[str] = set()
        """Ids of the prompts that need no more attempts."""
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise SparftError(f"{path} cannot be written: {error}") from error
        try:
            self._lock()
            self._begin(overwrite)
        except SparftError:
            self._file.close()
            raise

    def __enter__(self) -> AttemptLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, batch: Sequence[Attempted]) -> None:
        """Write prompts and return when they are on the disk.

        Raises
        ------
        SparftError
            If the disk refuses.
        """
        self._write(record for prompt in batch for record in _records(prompt))
        self.done.update(prompt.id for prompt in batch)

    def tallies(self, solved_above: float) -> dict[str, Tally]:
        """Count the attempts at every finished prompt.

        Parameters
        ----------
        solved_above : float
            Score above which an attempt without an accuracy counts as solved.
        """
        sums: dict[str, list[float]] = {}
        for _, _, record in self._records():
            entry = sums.setdefault(record["id"], [0.0, 0.0, 0])
            if "too_long" not in record:
                verdict = Verdict(record["score"], record.get("acc"))
                entry[0] += solved(verdict, solved_above)
                entry[1] += verdict.score
                entry[2] += 1
        nan = float("nan")
        return {
            key: Tally(rate / count, score / count, int(count)) if count else Tally(nan, nan, 0)
            for key, (rate, score, count) in sums.items()
        }

    def _lock(self) -> None:
        import fcntl

        try:
            # A record lock, unlike flock, is not handed on to child processes that outlive us.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SparftError(
                f"another process is writing {self.path}; wait for it or choose another output."
            ) from error

    def _begin(self, overwrite: bool) -> None:
        self._file.seek(0)
        first = b"" if overwrite else self._file.readline()
        empty = not self._file.read(1)
        if not first.endswith(b"\n"):
            if not _line({"format": FORMAT, **self.settings}).startswith(first):
                raise SparftError(f"{self.path} is no log of attempts; {MEND}")
            self._start_over()
        elif self._differs(_header(first, self.path), empty):
            self._start_over()
        else:
            self._file.truncate(self._finished_end(len(first)))

    def _start_over(self) -> None:
        self._file.truncate(0)
        self._write([{"format": FORMAT, **self.settings}])

    def _differs(self, header: Mapping[str, Any], empty: bool) -> bool:
        """Whether the settings are others, which only a log without attempts may have."""
        wanted = json.loads(_line({"format": FORMAT, **self.settings}))
        for name in sorted(wanted.keys() | header.keys()):
            if header.get(name) != wanted.get(name):
                if empty:
                    return True
                raise SparftError(
                    f"{self.path} was made with {name} {json.dumps(header.get(name))}, not "
                    f"{json.dumps(wanted.get(name))}; {MEND}"
                )
        return False

    def _finished_end(self, end: int) -> int:
        """Byte after the last prompt whose attempts are all there."""
        current, count, wanted = "", 0, self.settings["attempts"]
        for stop, number, record in self._records():
            if record["id"] != current and count:
                raise self._broken(number, f"prompt {current} has {count} of {wanted} attempts")
            current, count = record["id"], count + 1
            if "too_long" in record or count == wanted:
                self.done.add(current)
                end, count = stop, 0
        return end

    def _records(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Byte after each whole line, its number, and its record; the header is left out."""
        self._file.seek(0)
        stop = len(self._file.readline())
        for number, line in enumerate(self._file, 2):
            if not line.endswith(b"\n"):
                return
            stop += len(line)
            try:
                record = json.loads(line)
            except ValueError as error:
                raise self._broken(number, "it is no JSON") from error
            if not isinstance(record, dict) or not {"id", "row"} <= record.keys():
                raise self._broken(number, "it is no attempt")
            if "too_long" not in record and not isinstance(record.get("score"), (int, float)):
                raise self._broken(number, "it has no score")
            yield stop, number, record

    def _broken(self, number: int, reason: str) -> SparftError:
        return SparftError(f"{self.path}, line {number} is broken ({reason}); {MEND}")

    def _write(self, records: Iterable[Mapping[str, Any]]) -> None:
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.writelines(map(_line, records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SparftError(f"{self.path} cannot be written: {error}") from error


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8", "replace"
    )


def _header(line: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise SparftError(f"{path} is no log of attempts; {MEND}")
    return header


def _records(prompt: Attempted) -> Iterator[dict[str, Any]]:
    if prompt.too_long is not None:
        yield {"id": prompt.id, "row": prompt.row, "too_long": prompt.too_long}
    for number, (response, verdict) in enumerate(prompt.attempts):
        yield {
            "id": prompt.id,
            "row": prompt.row,
            "attempt": number,
            "response": response.text,
            "score": verdict.score,
            **({} if verdict.accuracy is None else {"acc": verdict.accuracy}),
            "tokens": response.tokens,
            "finish_reason": response.finish_reason,
        }
