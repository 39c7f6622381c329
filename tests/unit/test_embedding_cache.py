"""No text is encoded twice, and nothing that is not whole is ever used."""

from __future__ import annotations

import logging
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.corpus.spool import TextSpool
from sparft_plugin.reduction import encode
from sparft_plugin.reduction.cache import EmbeddingCache, prune, text_keys, write_shard
from sparft_plugin.reduction.encode import encode_texts, missing_texts
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
    found, identity = encode_texts(
        texts, "counting", {"model": "m"} | options, cache=cache, progress=False
    )
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
    with path.open("rb") as file:
        return text_keys([text])[0] in np.load(file).view("S16")


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


def test_of_other_corpora_the_keys_alone_are_read(cache, monkeypatch):
    monkeypatch.setattr(encode, "CHUNK_TEXTS", 2)
    run(["a", "b", "cc", "dd"], cache)
    (used, other) = sorted(shards(cache), key=lambda path: not holds(path, "a"))
    read, whole = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or whole(path))
    run(["a", "b"], cache)
    assert read == [used]
    assert encoded() == ["cc", "dd", "a", "b"]


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


def test_a_file_that_another_process_takes_away_meanwhile_is_no_error(cache, monkeypatch):
    run(["a"], cache)
    (shard,) = shards(cache)
    store, keys = EmbeddingCache(shard.parent), text_keys(["a"])
    shard.unlink()
    store.add("gone.vectors")
    assert store.missing(keys).tolist() == []
    assert store.vectors(keys) is None
    assert store.missing(keys).tolist() == [0]
    assert EmbeddingCache(cache / "no folder").vectors(keys) is None


@pytest.mark.parametrize("whose", ["cache", "encoder"])
def test_a_folder_that_cannot_be_written_is_a_warning_and_costs_only_the_cache(
    cache, caplog, whose
):
    run(["a"], cache)
    (made,) = cache.iterdir()
    bad = cache if whose == "cache" else made
    shutil.rmtree(bad)
    bad.write_text("of another user")
    encoded()
    with caplog.at_level(logging.WARNING):
        run(["a", "b"], cache)
    assert sorted(encoded()) == ["a", "b"]
    (record,) = caplog.records
    assert f"embeddings are not kept: {bad} cannot be written" in record.getMessage()
    assert "set SPARFT_CACHE to one that can" in record.getMessage()


def test_a_file_that_is_written_twice_at_once_is_one_whole_file(cache):
    keys, rows = text_keys(map(str, range(500))), np.eye(500, 3, dtype=np.float32)
    with ThreadPoolExecutor(4) as threads:
        names = set(threads.map(lambda _: write_shard(cache, keys, rows), range(60)))
    assert names == {path.name for path in cache.iterdir()}
    np.testing.assert_array_equal(EmbeddingCache(cache).vectors(keys), rows)


def test_texts_of_the_same_file_may_lie_in_another_one_too(cache):
    keys = text_keys("abc")
    rows = np.eye(3, dtype=np.float32)
    store = EmbeddingCache(cache)
    store.add(write_shard(cache, keys[:2], rows[:2]))
    store.add(write_shard(cache, keys[1:], rows[1:]))
    order = [2, 1, 0, 1]
    np.testing.assert_array_equal(store.vectors(keys[order]), rows[order])


@pytest.mark.parametrize(("scale", "problem"), [(0.0, "zero"), (np.nan, "not finite")])
def test_a_vector_without_a_direction_is_named_by_its_text_and_not_kept(
    cache, monkeypatch, scale, problem
):
    monkeypatch.setattr(Counting, "scale", scale)
    message = f"the embedder 'counting': the vector of the text 'why' is {problem}"
    with pytest.raises(SparftError, match=message):
        run(["why"], cache)
    assert shards(cache) == []


@pytest.mark.parametrize("shape", [(1, 3), (3,), (2, 0)])
def test_a_wrong_shape_is_refused(cache, monkeypatch, shape):
    monkeypatch.setattr(Counting, "encode", lambda self, texts: np.ones(shape))
    with pytest.raises(SparftError, match=r"'counting' gave shape .* for 2 texts; one row for"):
        encode_texts(["a", "b"], "counting", {}, cache=cache)
    assert shards(cache) == []
