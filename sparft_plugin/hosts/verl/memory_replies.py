"""The last answer to each run, kept so that a step whose answer was lost is not written twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.archive import check_keys, pack, unpack
from sparft_plugin.reduction.atomic import whole_file

VERSION = 1
KEPT_RUNS = 8


@dataclass(frozen=True, eq=False)
class Reply:
    """The answer to one step of a run.

    Parameters
    ----------
    number : int >= 1
        The run's own number of the step.
    step : int >= 1
        The memory's step count with this step written.
    terms : float64 array, shape (3, rollouts)
        Exploit, explore and total of all rollouts that were scored.
    """

    number: int
    step: int
    terms: NDArray[np.float64]


class Replies:
    """The last reply to each run, in a file that is written before the memory is.

    Parameters
    ----------
    path : Path
        An npz file; it need not exist yet. It keeps the `KEPT_RUNS` runs that wrote last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._of_run: dict[str, Reply] = {}

    def load(self, step: int) -> None:
        """Read the file, but not replies to steps beyond those that the memory holds.

        Such a step was scored, and then not written: it has to be asked again.

        Raises
        ------
        SparftError
            If the file is damaged.
        """
        self._of_run = {}
        if not self.path.exists():
            return
        header, arrays = unpack(self.path.read_bytes())
        check_keys("the header of the memory's replies", header, {"version", "runs"})
        for run, told in header["runs"].items():
            if told["step"] <= step:
                self._of_run[run] = Reply(told["number"], told["step"], arrays[run])

    def find(self, run: str, number: int) -> Reply | None:
        """Return the reply to a step of a run; None if that step was not written."""
        reply = self._of_run.get(run)
        return reply if reply is not None and reply.number == number else None

    def put(self, run: str, reply: Reply) -> None:
        """Keep the reply to a run's newest step, on disk before this returns."""
        self._of_run.pop(run, None)
        kept = list(self._of_run.items())[-(KEPT_RUNS - 1) :]
        self._of_run = {**dict(kept), run: reply}
        told = {name: {"number": r.number, "step": r.step} for name, r in self._of_run.items()}
        arrays = {name: r.terms for name, r in self._of_run.items()}
        with whole_file(self.path) as temporary:
            temporary.write_bytes(pack({"version": VERSION, "runs": told}, arrays))

    def clear(self) -> None:
        """Forget all replies: the memory starts from another state."""
        self._of_run = {}
        self.path.unlink(missing_ok=True)
