"""The packaged encoder keeps the contract of an embedder; so does a static one."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.testing import check_embedder


def test_the_built_in_embedders_are_registered():
    assert {"model2vec", "sentence_transformers"} <= set(registered("embedder"))


def test_the_packaged_sentence_transformer():
    check_embedder(lookup("embedder", "sentence_transformers"), model="all-MiniLM-L6-v2")


def test_a_static_model_of_a_folder(tmp_path):
    model2vec = pytest.importorskip("model2vec")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[UNK]", "what", "is", "spell", "the", "letters", "2", "plus", "3", "?", "x", "satz"]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    vectors = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    folder = tmp_path / "static"
    model2vec.StaticModel(vectors=vectors, tokenizer=tokenizer).save_pretrained(folder)
    check_embedder(lookup("embedder", "model2vec"), model=str(folder))


@pytest.mark.parametrize("name", sorted(registered("embedder")))
def test_an_unknown_option_is_refused_by_name(name):
    with pytest.raises(SparftError, match=f"option of the embedder '{name}' 'nonsense'"):
        build("embedder", name, {"model": "any", "nonsense": 1})
