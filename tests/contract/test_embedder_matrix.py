"""The packaged encoder keeps the contract of an embedder; so does a static one."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.testing import check_embedder
from tests.unit.reduction_data import save_static

WORDS = ["[UNK]", "What", "is", "Spell", "the", "letters", "2", "plus", "3", "?", "x", "Satz"]


@pytest.mark.parametrize("name", ["model2vec", "sentence_transformers"])
def test_a_built_in_embedder_keeps_the_contract(name, tmp_path):
    model = "all-MiniLM-L6-v2"
    if name == "model2vec":
        table = np.random.default_rng(0).normal(size=(len(WORDS), 8)).astype(np.float32)
        model = str(save_static(tmp_path / "static", WORDS, table))
    check_embedder(lookup("embedder", name), model=model)


@pytest.mark.parametrize("name", sorted(registered("embedder")))
def test_an_unknown_option_is_refused_by_name(name):
    with pytest.raises(SparftError, match=f"option of the embedder '{name}' 'nonsense'"):
        build("embedder", name, {"model": "any", "nonsense": 1})
