"""The log of every attempt: appended batch by batch, and gone on with after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from sparft_plugin.difficulty.engine import Response
from sparft_plugin.difficulty.resumable import ResumableLog
from sparft_plugin.difficulty.verifier import Verdict, solved


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


class AttemptLog(ResumableLog):
    """The attempts of one prompt after the other; only prompts with all their attempts count.

    Of the settings, ``attempts`` is the number per prompt. See ``ResumableLog``.
    """

    header: ClassVar[str] = "sparft attempts 1"
    kind: ClassVar[str] = "log of attempts"

    done: set[str]
    """Ids of the prompts that need no more attempts."""

    def append(self, batch: Sequence[Attempted]) -> None:
        """Write prompts and return when they are on the disk.

        Raises
        ------
        SparftError
            If the disk refuses.
        """
        self.write(record for prompt in batch for record in _records(prompt))
        self.done.update(prompt.id for prompt in batch)

    def tallies(self, solved_above: float) -> dict[str, Tally]:
        """Count the attempts at every finished prompt.

        Parameters
        ----------
        solved_above : float
            Score above which an attempt without an accuracy counts as solved.
        """
        sums: dict[str, list[float]] = {}
        for _, _, record in self.records():
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

    def take_in(self, start: int) -> int:
        """Learn which prompts are done; the log ends after the last of them."""
        self.done = set()
        end, current, count, wanted = start, "", 0, self.settings["attempts"]
        for stop, number, record in self.records():
            if not {"id", "row"} <= record.keys():
                raise self.broken(number, "it is no attempt")
            if "too_long" not in record and not isinstance(record.get("score"), (int, float)):
                raise self.broken(number, "it has no score")
            if record["id"] != current and count:
                raise self.broken(number, f"prompt {current} has {count} of {wanted} attempts")
            current, count = record["id"], count + 1
            if "too_long" in record or count == wanted:
                self.done.add(current)
                end, count = stop, 0
        return end


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
