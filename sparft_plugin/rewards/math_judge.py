"""The process that asks math-verify; run as ``python -P -m``, one request and one reply a line.

Request: ``{"truth": LaTeX, "answer": LaTeX, "seconds": limit}``. Reply: ``{"equal": bool,
"finished": bool}``; the first line, ``{}``, says that everything is imported.

A child does the work and its parent only watches it. The child's time limit is a kernel timer
whose default action ends the process, so it holds inside a C routine too, where a Python signal
handler would wait; the parent then answers for it and forks the next child, which has everything
imported. Both end when the requests do.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import resource
import signal
from typing import Any

ADDRESS_SPACE = 1 << 30
RESIDENT_KIB = 512 << 10
RENEW = 3
"""Exit code of a child that has answered but has grown too large to go on."""

# Compared once before the first request: algebra imports and builds much of itself on first use.
WARM_UP = (
    (r"x^2-1", r"(x-1)(x+1)"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    (r"\frac{\pi}{2}+e^2", r"e^2+\frac{1}{2}\pi"),
    (r"y=2x+3", r"y=3+2x"),
    (r"x\leq 3", r"x<3"),
    (r"(1,2]", r"[1,2]"),
    (r"\{1,2\}", r"\{2,1\}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}"),
    (r"\sin(x)", r"\cos(x)"),
    (r"3+4i", r"3-4i"),
)


def equal(truth: str, answer: str) -> bool:
    r"""Whether math-verify finds an answer equal to a truth, both in LaTeX.

    Its own time limits, which need signal handlers, are off, and so is its removal of
    units, which takes the h of ``\pi r^2 h`` for hours; its strict mode is on.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    given = LatexExtractionConfig().normalization_config
    notation = dataclasses.replace(given, units=False, nits=False, boxed="none")

    def read(latex: str) -> Any:
        return parse(
            f"${latex}$",
            [LatexExtractionConfig(normalization_config=notation)],
            fallback_mode="no_fallback",
            extraction_mode="first_match",
            parsing_timeout=None,
        )

    return bool(verify(read(truth), read(answer), strict=True, timeout_seconds=None))


def answer_requests(requests: int, replies: int) -> None:
    """Answer requests until there are no more, or until the kernel ends this process.

    Never more than one request is under way, so nothing is read too far.
    """
    with open(requests, "rb", buffering=0, closefd=False) as lines:
        while line := lines.readline():
            request = json.loads(line)
            signal.setitimer(signal.ITIMER_REAL, request["seconds"])
            verdict = equal(request["truth"], request["answer"])
            signal.setitimer(signal.ITIMER_REAL, 0)
            send(replies, {"equal": verdict, "finished": True})
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > RESIDENT_KIB:
                os._exit(RENEW)
    os._exit(0)


def send(replies: int, message: dict[str, bool]) -> None:
    """Write one line; it is far shorter than what a pipe takes at once."""
    os.write(replies, json.dumps(message).encode() + b"\n")


def main() -> None:
    """Import, warm up, then fork one child after the other."""
    requests, replies = os.dup(0), os.dup(1)
    # Whatever a library prints must not end up among the replies.
    os.dup2(2, 1)
    # A parent's ignored or blocked alarm would be inherited, and nothing would ever end.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    logging.disable(logging.CRITICAL)
    for truth, answer in WARM_UP:
        equal(truth, answer)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    send(replies, {})
    while True:
        child = os.fork()
        if not child:
            answer_requests(requests, replies)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
            send(replies, {"equal": False, "finished": False})
        elif os.waitstatus_to_exitcode(status) != RENEW:
            # No more requests; or a death at an unknown moment, where a reply could be taken for
            # the next request's. The caller sees the end of the replies and starts another judge.
            return


if __name__ == "__main__":
    main()
