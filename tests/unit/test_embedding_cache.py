"""No text is encoded twice, and nothing that is not whole is ever used."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.corpus.spool import TextSpool
from sparft_plugin.reduction import encode
from sparft_plugin.reduction.encode import encode_texts, missing_texts
from sparft_plugin.reduction.engines import Local
from sparft_plugin.reduction.vectors import cache as cache_module
from sparft_plugin.reduction.vectors.cache import (
    EmbeddingCache,
    prune,
    read_shard,
    text_key,
    write_shard,
)
from tests.unit.reduction_data import HashEmbedder, registered, vector

TEXTS = ["ten", "one hundred", "a", "", "two", "ten", "é\ud83d", "a"]


@dataclass
class Counting(HashEmbedder):
    """Remembers the texts of every call, and can stop or lie."""

    device: str = "cpu"
    seen: ClassVar[list[list[str]]] = []
    calls_left: ClassVar[float] = float("inf")
    scale: ClassVar[float] = 1.0

    @property
    def arithmetic(self) -> str:
        return self.device

    def encode(self, texts):
        if not Counting.calls_left:
            raise KeyboardInterrupt
        Counting.calls_left -= 1
        self.seen.append(list(texts))
        return Counting.scale * np.stack([surrogate_safe(text) for text in texts])


def surrogate_safe(text):
    return vector(text.encode("utf-8", "surrogatepass").hex())


@pytest.fixture(autouse=True)
def counting(monkeypatch):
    monkeypatch.setattr(Counting, "seen", [])
    with registered(embedders={"counting": Counting}):
        yield Counting


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "embeddings"


def run(texts, cache, **options):
    """Vectors of the texts, after a check that they are the right ones."""
    vectors, identity = encode_texts(
        texts, "counting", {"model": "m"} | options, Local(), cache, progress=False
    )
    found = vectors.take(np.arange(len(texts)))
    np.testing.assert_array_equal(found, np.stack([surrogate_safe(t) for t in texts]))
    return identity


def encoded():
    """All texts that were encoded since the last call, in order."""
    texts = [text for call in Counting.seen for text in call]
    Counting.seen.clear()
    return texts


def shards(cache, suffix=".vectors"):
    return sorted(cache.rglob(f"*{suffix}"))


@pytest.mark.parametrize("sequence", [list, tuple, TextSpool])
def test_every_text_is_encoded_once_and_the_longest_first(cache, sequence):
    assert run(sequence(TEXTS), cache) == "hash@m"
    first = encoded()
    assert sorted(first) == sorted(set(TEXTS))
    assert first[0] == "one hundred"
    assert first[-1] == ""
    run(sequence(TEXTS[::-1]), cache)
    assert encoded() == []


def test_added_texts_are_the_only_ones_encoded(cache):
    run(["a", "b"], cache)
    encoded()
    built = Counting("m")
    texts = ["c", "b", "c", "d"]
    missing = missing_texts(texts, "counting", built, cache)
    assert sorted(texts[i] for i in missing) == ["c", "d"]
    run(texts, cache)
    assert sorted(encoded()) == ["c", "d"]
    assert len(missing_texts(texts, "counting", built, cache)) == 0


def test_chunks_hold_texts_of_similar_length(cache, monkeypatch):
    monkeypatch.setattr(encode, "CHUNK_TEXTS", 3)
    texts = ["x" * n for n in (5, 1, 7, 3, 2, 6, 4)]
    run(texts, cache)
    lengths = [[len(text) for text in call] for call in Counting.seen]
    assert lengths == [[7, 6, 5], [4, 3, 2], [1]]
    assert len(shards(cache)) == 3


def test_a_killed_run_leaves_its_finished_chunks_to_the_next(cache, monkeypatch):
    monkeypatch.setattr(encode, "CHUNK_TEXTS", 2)
    texts = [f"{i:02}" for i in range(9)]
    monkeypatch.setattr(Counting, "calls_left", 3)
    with pytest.raises(KeyboardInterrupt):
        run(texts, cache)
    before = encoded()
    assert len(before) == 6
    monkeypatch.setattr(Counting, "calls_left", float("inf"))
    run(texts, cache)
    assert sorted(before + encoded()) == texts
    assert sorted(p.name for p in cache.iterdir()) == [shards(cache)[0].parent.name]


@pytest.mark.parametrize("other", [{"model": "other"}, {"device": "cuda"}])
def test_another_encoder_or_arithmetic_has_a_folder_of_its_own(cache, other):
    run(["a"], cache)
    run(["a"], cache, **other)
    assert encoded() == ["a", "a"]
    assert len({path.parent for path in shards(cache)}) == 2


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def empty(path):
    path.write_bytes(b"")


def holds(path, text):
    return text_key(text) in {bytes(key) for key in read_shard(path)[0]}


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_corrupt_file_is_reported_set_aside_and_encoded_again(cache, monkeypatch, caplog, damage):
    monkeypatch.setattr(encode, "CHUNK_TEXTS", 2)
    run(["a", "b", "cc", "dd"], cache)
    encoded()
    (bad,) = [path for path in shards(cache) if holds(path, "a")]
    damage(bad)
    with caplog.at_level(logging.WARNING):
        run(["a", "b", "cc", "dd"], cache)
    assert sorted(encoded()) == ["a", "b"]
    (record,) = caplog.records
    assert record.getMessage() == (
        f"cached embeddings {bad} are corrupt; their texts are encoded again."
    )
    assert shards(cache, ".corrupt") == [bad.with_suffix(".corrupt")]
    caplog.clear()
    run(["a", "b", "cc", "dd"], cache)
    assert (encoded(), caplog.records) == ([], [])


def test_a_file_that_is_damaged_while_it_is_used_stops_the_run(cache):
    vectors, _ = encode_texts(["a"], "counting", {}, Local(), cache, progress=False)
    truncate(shards(cache)[0])
    with pytest.raises(SparftError, match="changed while it was in use; run again"):
        vectors.take(np.array([0]))


def test_of_other_corpora_the_keys_alone_are_read_and_a_used_file_is_checked_once(
    cache, monkeypatch
):
    checked = []

    def checking(path):
        checked.append(path)
        return read_shard(path)

    monkeypatch.setattr(cache_module, "read_shard", checking)
    monkeypatch.setattr(encode, "CHUNK_TEXTS", 2)
    run(["a", "b", "cc", "dd"], cache)
    assert checked == []
    (used,) = [path for path in shards(cache) if holds(path, "a")]
    vectors, _ = encode_texts(["a"], "counting", {"model": "m"}, Local(), cache, progress=False)
    for _ in range(3):
        vectors.take(np.array([0]))
    assert checked == [used]


def age(path, days):
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))


def test_above_the_limit_what_was_not_used_for_longest_goes(cache, monkeypatch):
    monkeypatch.setattr(encode, "CHUNK_TEXTS", 1)
    texts = ["old", "older", "used", "new"]
    run(texts, cache)
    files = {text: next(p for p in shards(cache) if holds(p, text)) for text in texts}
    for text, days in (("old", 8), ("older", 9), ("used", 10)):
        age(files[text], days)
    run(["used"], cache)
    size = files["new"].stat().st_size
    prune(cache, 4 * size)
    assert len(shards(cache)) == 4
    prune(cache, 3 * size)
    assert shards(cache) == sorted(files[text] for text in ("old", "used", "new"))
    # What was used in the last week stays, whatever the limit.
    prune(cache, 0)
    assert shards(cache) == sorted(files[text] for text in ("used", "new"))


def test_what_a_killed_run_left_goes_after_a_week(cache):
    run(["a"], cache)
    (shard,) = shards(cache)
    dead, alive = cache / "sparft-dead", cache / "sparft-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "0.json").write_text("[]")
    half, corrupt = shard.with_name(f".{shard.name}.17.ab12.tmp"), shard.with_suffix(".corrupt")
    strange = cache / "mine.txt"
    for file in (half, corrupt, strange):
        file.write_text("half")
    for path in (dead, half, corrupt, strange, shard):
        age(path, 8)
    run(["b"], cache)
    assert [path.exists() for path in (dead, half, corrupt)] == [False] * 3
    assert [path.exists() for path in (alive, strange, shard)] == [True] * 3


def test_keys_that_are_not_there_are_never_made_up(cache):
    keys = np.frombuffer(text_key("a"), np.uint8).reshape(1, 16)
    with pytest.raises(SparftError, match="lost embeddings while it was in use; run again"):
        EmbeddingCache(cache).vectors(keys)


def test_a_corrupt_file_that_another_process_sets_aside_first_is_no_error(cache, monkeypatch):
    from sparft_plugin.reduction.vectors import cache as module

    run(["a"], cache)
    (bad,) = shards(cache)
    flip(bad)
    read = module.read_shard

    def read_late(path):
        content = read(path)
        path.rename(path.with_suffix(".corrupt"))
        return content

    monkeypatch.setattr(module, "read_shard", read_late)
    store = EmbeddingCache(bad.parent)
    store.add("gone.vectors")
    assert store.missing(np.frombuffer(text_key("a"), np.uint8).reshape(1, 16)).tolist() == [0]


def test_a_folder_that_cannot_be_made_is_a_warning_and_costs_only_the_cache(tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        run(TEXTS, tmp_path / "file" / "embeddings")
    assert len(encoded()) == len(set(TEXTS))
    (record,) = caplog.records
    assert str(tmp_path / "file" / "embeddings") in record.getMessage()
    assert "set SPARFT_CACHE to a folder that can" in record.getMessage()


WRITER = """
import sys
from pathlib import Path
import numpy as np
from sparft_plugin.reduction.vectors.cache import EmbeddingCache, text_key, write_shard
keys = [text_key(str(i)) for i in range(500)]
vectors = np.arange(1500, dtype=np.float32).reshape(500, 3)
for _ in range(30):
    name = write_shard(Path(sys.argv[1]), keys, vectors)
    EmbeddingCache(Path(sys.argv[1]))
print(name)
"""


def test_two_processes_that_write_the_same_file_leave_one_whole_file(cache):
    command = [sys.executable, "-W", "error", "-c", WRITER, str(cache)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    names = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (path,) = cache.iterdir()
    assert names == {path.name}
    keys, vectors = read_shard(path)
    assert keys.tobytes() == b"".join(text_key(str(i)) for i in range(500))
    assert vectors.tolist() == np.arange(1500).reshape(500, 3).tolist()


def test_texts_of_the_same_file_may_lie_in_another_one_too(cache):
    a, b, c = (text_key(text) for text in "abc")
    rows = np.eye(3, dtype=np.float32)
    store = EmbeddingCache(cache)
    store.add(write_shard(cache, [a, b], rows[:2]))
    store.add(write_shard(cache, [b, c], rows[1:]))
    wanted = np.frombuffer(c + b + a + b, np.uint8).reshape(4, 16)
    found = store.vectors(wanted).take(np.arange(4))
    np.testing.assert_array_equal(found, rows[[2, 1, 0, 1]])


@pytest.mark.parametrize(("scale", "problem"), [(0.0, "zero"), (np.nan, "not finite")])
def test_a_vector_without_a_direction_is_named_by_its_text_and_not_kept(
    cache, monkeypatch, scale, problem
):
    monkeypatch.setattr(Counting, "scale", scale)
    message = f"the embedder 'counting': the vector of the text 'why' is {problem}"
    with pytest.raises(SparftError, match=message):
        run(["why"], cache)
    assert shards(cache) == []


def test_vectors_of_another_norm_are_scaled_to_one(cache, monkeypatch):
    monkeypatch.setattr(Counting, "scale", 7.0)
    vectors, _ = encode_texts(TEXTS, "counting", {}, Local(), cache, progress=False)
    norms = np.linalg.norm(vectors.take(np.arange(len(TEXTS))), axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3), (3,), (2, 0)])
def test_a_wrong_shape_is_refused(cache, monkeypatch, shape):
    monkeypatch.setattr(Counting, "encode", lambda self, texts: np.ones(shape))
    with pytest.raises(SparftError, match=r"'counting' gave shape .* for 2 texts; one row for"):
        encode_texts(["a", "b"], "counting", {}, Local(), cache)
    assert shards(cache) == []
