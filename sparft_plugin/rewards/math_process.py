"""The caller's end of the process that asks math-verify."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from sparft_plugin.errors import require

START_SECONDS = 120.0
GRACE_SECONDS = 5.0
"""How much later than the judge's own limit a caller gives it up for dead."""
SLOW_SECONDS = 30.0
"""What overrunning comparisons may cost in a row before the limit falls to a tenth."""


class Verdict(NamedTuple):
    """What the judge said."""

    equal: bool
    finished: bool
    """False if the time limit ended it or the judge died; ``equal`` is then False."""


class MathProcess:
    """One judge process, started on first use and replaced when it dies; callers take turns.

    It is a program of its own, not a ``multiprocessing`` child: it works from any thread, inside
    an event loop's executor, and in daemonic processes, which may have no such children.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.turn = threading.Lock()
        self.patience = SLOW_SECONDS

    def compare(self, truth: str, answer: str, seconds: float) -> Verdict:
        """Compare two expressions in LaTeX within a time limit.

        The limit counts from when it is this call's turn and the judge is ready. A policy that
        collapses to slow LaTeX would hold up every step, so ``SLOW_SECONDS`` of comparisons that
        overrun use up the patience with the rest: then a tenth of the limit counts, until others
        that finish have earned it back, a limit each.
        """
        with self.turn:
            limit = seconds if self.patience > 0 else seconds / 10
            request = json.dumps({"truth": truth, "answer": answer, "seconds": limit})
            if self.process is not None and self.process.poll() is not None:
                self._drop()
            if self.process is None:
                self.process = start()
            line = None
            try:
                line = exchange(self.process, request, limit)
            finally:
                # Also if this thread is interrupted: a reply left behind would be the next one's.
                if line is None:
                    self._drop()
            verdict = Verdict(**json.loads(line)) if line else Verdict(False, False)
            earned = seconds if verdict.finished else -limit
            self.patience = min(SLOW_SECONDS, self.patience + earned)
        return verdict

    def _drop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            end(process)

    def close(self) -> None:
        """End the judge; the next comparison starts another."""
        with self.turn:
            self._drop()

    def forget(self) -> None:
        """Leave the judge to the process this one was forked from."""
        # The fork may have happened while another thread held the lock.
        self.process, self.turn = None, threading.Lock()


def start() -> subprocess.Popen[bytes]:
    """Start a judge and wait until it has imported everything."""
    require(
        importlib.util.find_spec("math_verify") is not None,
        "comparing answers by algebra needs math-verify; pip install 'sparft-plugin[rewards]'.",
    )
    # A math_verify.py in the folder that a run was started in is not ours to import.
    folders = sorted(filter(None, sys.path), key=lambda folder: folder == os.getcwd())
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "sparft_plugin.rewards.math_judge"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        # A ctrl-C at the terminal is the trainer's to handle; the judge ends with its input.
        start_new_session=True,
    )
    ready = None
    try:
        ready = read_line(process, START_SECONDS)
    finally:
        if ready is None:
            end(process)
    see = "run 'python -P -m sparft_plugin.rewards.math_judge' to see why."
    require(ready is not None, f"the process that asks math-verify did not start; {see}")
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a judge; its child ends with the requests, at the latest at its time limit."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    process.wait()


def exchange(process: subprocess.Popen[bytes], request: str, seconds: float) -> bytes | None:
    """Send a request and return the reply, or None if the judge dies or is late."""
    assert process.stdin is not None
    try:
        process.stdin.write(request.encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    return read_line(process, seconds + GRACE_SECONDS)


def read_line(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """Read a line, or return None if the process ends or the time is over first."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    # Unlike select, poll takes descriptors above 1023, which a reward worker may well have.
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    line, deadline = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        in_time = ready.poll(max(0.0, deadline - time.monotonic()) * 1000)
        chunk = os.read(descriptor, 4096) if in_time else b""
        if not chunk:
            return None
        line += chunk
    return line


JUDGE = MathProcess()
"""The judge of this process."""

os.register_at_fork(after_in_child=JUDGE.forget)
atexit.register(JUDGE.close)
