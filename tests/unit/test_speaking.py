"""Our warnings are heard once, whether or not a library has silenced the root logger."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import logging

    logging.basicConfig(level=logging.WARNING)

    from sparft_plugin.training.speaking import speak

    speak()
    speak()
    for level in {levels}:
        for one in (logging.root, *logging.root.handlers):
            one.setLevel(level)
        logging.getLogger("sparft_plugin.somewhere").warning("heard at %d", level)
        logging.getLogger("another").warning("another at %d", level)
        logging.getLogger("sparft_plugin.somewhere").info("said too much")
"""


@pytest.mark.parametrize("levels", [[30], [40], [30, 40, 30]])
def test_a_warning_is_heard_once_whatever_the_root_logger_lets_through(levels: list[int]) -> None:
    script = textwrap.dedent(SCRIPT.format(levels=levels))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    ours = [line for line in lines if "heard at" in line]
    assert [line.rsplit(" ", 1)[1] for line in ours] == [str(level) for level in levels]
    # What others say is none of our business.
    assert len([line for line in lines if "another at" in line]) == levels.count(30)
    assert "said too much" not in done.stderr
