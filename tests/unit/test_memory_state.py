"""A saved memory: complete, strict, and never half loaded."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.archive import pack, unpack
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.memory_r_plus import MemoryRPlus


def filled(cls=MemoryRPlus, dimension=4, seed=0, **options):
    rng = np.random.default_rng(seed)
    memory = cls("mini", **options)
    for _ in range(3):
        memory.write(
            [
                MemoryGroup(
                    prompt_id,
                    rng.normal(size=dimension).astype(np.float32),
                    rng.normal(size=(4, dimension)).astype(np.float32),
                    np.array([0.0, 1.0, 0.0, 1.0]),
                )
                for prompt_id in ("a", "b", "ü")
            ]
        )
    return memory


def changed(data: bytes, **keys) -> bytes:
    header, arrays = unpack(data)
    return pack({**header, **keys}, arrays)


def test_the_header_is_plain_json_text():
    with np.load(io.BytesIO(filled().dumps()), allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
    fingerprint = header.pop("fingerprint")
    assert len(fingerprint) == 32
    assert header == {
        "version": 2,
        "name": "memory_r_plus",
        "encoder": "mini",
        "dimension": 4,
        "step": 3,
        "zero_embeddings": 0,
        "options": {
            "neighbors": 1,
            "query_capacity": None,
            "response_capacity": 100,
            "success_threshold": 0.5,
            "window": 100,
            "normalize": "global",
            "exploit_weight": 1.0,
            "compat": "paper",
            "stored": "response",
            "storage": "float32",
            "explore_weight": 1.0,
            "warmup_steps": 50,
            "warmup_failures": None,
        },
    }


def test_an_unused_memory_round_trips():
    memory = MemoryRPlus("mini")
    memory.loads(MemoryRPlus("mini").dumps())
    assert (memory.step, memory.dimension) == (0, None)


def test_loading_replaces_what_was_there():
    memory, other = filled(), filled(seed=1)
    memory.loads(other.dumps())
    assert memory.dumps() == other.dumps()


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"version": 1}, "version=1"),
        ({"name": "memory_r"}, "name='memory_r'"),
        ({"encoder": "other"}, "encoder='other'.*'mini'"),
        ({"surprise": 1}, "unknown 'surprise'"),
        ({"step": -1}, "step"),
        ({"step": 1.5}, "step"),
        ({"zero_embeddings": None}, "zero_embeddings"),
        ({"dimension": 5}, "shape"),
        ({"dimension": 0}, "dimension"),
        ({"dimension": None}, "shape"),
        ({"options": {}}, "lacks 'compat', 'exploit_weight'"),
        ({"options": None}, "options"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_by_name(keys, word):
    memory = MemoryRPlus("mini")
    before = memory.dumps()
    with pytest.raises(SparftError, match=word):
        memory.loads(changed(filled().dumps(), **keys))
    assert memory.dumps() == before


def test_a_missing_header_key_is_refused_by_name():
    header, arrays = unpack(filled().dumps())
    del header["step"]
    with pytest.raises(SparftError, match="lacks 'step'"):
        MemoryRPlus("mini").loads(pack(header, arrays))


def test_missing_and_unknown_arrays_are_refused_by_name():
    header, arrays = unpack(filled().dumps())
    with pytest.raises(SparftError, match="unknown 'surprise'"):
        MemoryRPlus("mini").loads(pack(header, {**arrays, "surprise": np.zeros(1)}))
    del arrays["explore.queries"]
    with pytest.raises(SparftError, match=r"lacks 'explore\.queries'"):
        MemoryRPlus("mini").loads(pack(header, arrays))


def test_a_fault_in_the_last_part_leaves_the_memory_as_it_was():
    header, arrays = unpack(filled(seed=1).dumps())
    memory = filled()
    before = memory.dumps()
    for key in (
        "exploit.counts",
        "explore.counts",
        "exploit.window.values",
        "explore.window.values",
        "failures_written",
    ):
        with pytest.raises(SparftError):
            memory.loads(pack(header, {**arrays, key: np.zeros((1, 1))}))
        assert memory.dumps() == before


@pytest.mark.parametrize(
    ("option", "saved", "own"),
    [
        ("neighbors", 1, 2),
        ("stored", "response", "reasoning"),
        ("storage", "float32", "float16"),
        ("normalize", "global", "per_query"),
        ("compat", "paper", "released"),
        ("warmup_failures", None, 3),
    ],
)
def test_a_changed_option_is_refused_by_name(option, saved, own):
    word = rf"sparft\.memory\.{option}={saved!r}, this run has {own!r}"
    with pytest.raises(SparftError, match=word):
        MemoryRPlus("mini", **{option: own}).loads(filled().dumps())


@pytest.mark.parametrize(
    "options",
    [
        {"storage": "float16"},
        {"normalize": "per_query"},
        {"normalize": "per_query", "query_capacity": 2},
        {"compat": "released"},
        {"warmup_failures": 5},
    ],
)
def test_every_kind_of_memory_round_trips(options):
    memory, copy = filled(**options), MemoryRPlus("mini", **options)
    copy.loads(memory.dumps())
    assert copy.dumps() == memory.dumps()
    assert copy.metrics() == memory.metrics()
    assert copy.warming_up == memory.warming_up


def test_a_memory_is_read_from_a_file_as_from_bytes(tmp_path):
    memory, path = filled(), tmp_path / "memory.npz"
    with path.open("wb") as file:
        memory.dump_into(file)
    assert path.read_bytes() == memory.dumps()
    copy = MemoryRPlus("mini")
    with path.open("rb") as file:
        copy.loads(file)
    assert copy.dumps() == memory.dumps()


def test_arrays_that_are_not_those_of_the_fingerprint_are_refused():
    header, arrays = unpack(filled().dumps())
    arrays["explore.queries"][0, 0] += 1
    members = io.BytesIO()
    text = json.dumps({**header, "fingerprint": "0" * 32}).encode()
    np.savez(members, header=np.frombuffer(text, np.uint8), **arrays)
    with pytest.raises(SparftError, match="fingerprint"):
        MemoryRPlus("mini").loads(members.getvalue())


def test_another_method_is_refused():
    with pytest.raises(SparftError, match="name='memory_r'"):
        MemoryRPlus("mini").loads(filled(MemoryR).dumps())


def test_another_dimension_is_refused():
    with pytest.raises(SparftError, match="dimension=4, this run has 3"):
        filled(dimension=3).loads(filled().dumps())


def test_damaged_bytes_are_refused():
    data = filled().dumps()
    objects = io.BytesIO()
    np.savez(objects, header=np.array([{"version": 1}], dtype=object))
    for damaged in (b"", b"\x80\x04N.", data[:100], data[:-30], objects.getvalue()):
        with pytest.raises(SparftError, match="cannot be read"):
            MemoryRPlus("mini").loads(damaged)


def test_python_objects_are_never_saved():
    with pytest.raises(ValueError, match="Object arrays"):
        pack({}, {"objects": np.array([{}], dtype=object)})


def test_flipped_bytes_never_raise_anything_else():
    data = filled().dumps()
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data), size=150):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        memory = MemoryRPlus("mini")
        before = memory.dumps()
        try:
            memory.loads(bytes(damaged))
        except SparftError:
            assert memory.dumps() == before
