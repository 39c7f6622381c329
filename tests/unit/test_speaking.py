"""Our warnings are heard once, whether or not a library has silenced the root logger."""

from __future__ import annotations

import logging

import pytest

from sparft_plugin.training.speaking import speak


def test_a_warning_is_heard_once_whatever_the_root_logger_lets_through(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As `logging.basicConfig(level=WARNING)` leaves it.
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.root, "handlers", [handler])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    monkeypatch.setattr(logging.getLogger("sparft_plugin"), "handlers", [])
    speak()
    speak()
    for level in (30, 40, 30):
        logging.root.setLevel(level)
        handler.setLevel(level)
        logging.getLogger("sparft_plugin.somewhere").warning("heard at %d", level)
        logging.getLogger("another").warning("another at %d", level)
        logging.getLogger("sparft_plugin.somewhere").info("said too much")
    lines = capsys.readouterr().err.splitlines()
    heard = [line.rsplit(" ", 1)[1] for line in lines if "heard at" in line]
    assert heard == ["30", "40", "30"]
    # What others say is none of our business.
    assert [line for line in lines if "another" in line] == ["another at 30"] * 2
    assert not any("said too much" in line for line in lines)
