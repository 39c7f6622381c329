"""A tokenizer that every test here can count with."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package")
def tokenizer(tmp_path_factory):
    """Return the folder of a byte-level tokenizer: one token a byte."""
    from tests.verl.harness import write_workspace

    folder = tmp_path_factory.mktemp("tokens")
    write_workspace(folder)
    return str(folder / "model")
