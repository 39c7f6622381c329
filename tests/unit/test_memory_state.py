"""A saved memory: complete, strict, and never half loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.archive import pack, unpack, unpack_version2
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.memory_r_plus import MemoryRPlus
from sparft_plugin.memory.normalize import WindowNormalizer
from sparft_plugin.testing.intrinsic_rewards import saved, totals

VERSION2 = Path(__file__).with_name("memory_version2.npz")
"""What `filled` was saved as by the release before version 3."""


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


def changed(state, **keys):
    header, arrays = unpack(state)
    return pack({**header, **keys}, arrays)


HEADER = """{"dimension": 4, "encoder": "mini", "name": "memory_r_plus", "options": {"compat": \
"paper", "exploit_weight": 1.0, "explore_weight": 1.0, "neighbors": 1, "normalize": "global", \
"query_capacity": null, "response_capacity": 100, "storage": "float32", "stored": "response", \
"success_threshold": 0.5, "warmup_failures": null, "warmup_steps": 50, "window": 100}, "step": 3, \
"version": 3, "zero_embeddings": 0}"""


def test_the_header_is_plain_json_text():
    header = json.loads(filled().state_dict()["header"])
    assert len(header.pop("fingerprint")) == 32
    assert header.pop("arrays")["exploit.queries"] == ["<f4", [3, 4]]
    assert json.dumps(header, sort_keys=True) == HEADER


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"version": 2}, "version=2"),
        ({"encoder": "other"}, "encoder='other'.*'mini'"),
        ({"surprise": 1}, "unknown 'surprise'"),
        ({"step": -1}, "step"),
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
    before = saved(memory)
    with pytest.raises(SparftError, match=word):
        memory.load_state_dict(changed(filled().state_dict(), **keys))
    assert saved(memory) == before


def test_arrays_that_do_not_fit_are_refused_by_name_and_leave_the_memory_as_it_was():
    header, arrays = unpack(filled(seed=1).state_dict())
    without = {key: array for key, array in arrays.items() if key != "explore.queries"}
    stepless = {key: value for key, value in header.items() if key != "step"}
    memory, wrong = filled(), np.zeros((1, 1))
    before = saved(memory)
    for state, word in (
        (pack(stepless, arrays), "lacks 'step'"),
        (pack(header, {**arrays, "surprise": wrong}), "unknown 'surprise'"),
        (pack(header, without), r"lacks 'explore\.queries'"),
        (pack(header, {**arrays, "exploit.counts": wrong}), "counts"),
        (pack(header, {**arrays, "explore.window.values": wrong}), "values"),
        (pack(header, {**arrays, "failures_written": wrong}), "failures_written"),
        (pack(header, {**arrays, "failures_written": np.array(-1)}), "failures_written"),
    ):
        with pytest.raises(SparftError, match=word):
            memory.load_state_dict(state)
        assert saved(memory) == before


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
        MemoryRPlus("mini", **{option: own}).load_state_dict(filled().state_dict())


@pytest.mark.parametrize(
    "options",
    [
        {"storage": "float16"},
        {"normalize": "per_query", "query_capacity": 2},
        {"compat": "released"},
        {"warmup_failures": 5},
    ],
)
def test_every_kind_of_memory_replaces_what_was_there_and_shares_nothing(options):
    memory, copy = filled(**options), filled(seed=1, **options)
    copy.load_state_dict(memory.state_dict())
    before = saved(memory)
    assert saved(copy) == before
    assert copy.metrics() == memory.metrics()
    assert copy.warming_up == memory.warming_up
    copy.write([MemoryGroup("a", np.ones(4), np.ones((9, 4)), np.ones(9))])
    assert saved(memory) == before
    copy.load_state_dict(MemoryRPlus("mini", **options).state_dict())
    assert (copy.step, copy.metrics()["bytes"]) == (0, 0)


def test_the_bytes_of_version_2_still_load_and_go_on_as_they_would_have():
    memory, straight = MemoryRPlus("mini", warmup_steps=3), filled(warmup_steps=3)
    header, arrays = unpack_version2(VERSION2.read_bytes())
    header["options"]["warmup_steps"] = 3
    memory.load_state_dict(pack(header, arrays))
    assert memory.metrics() == straight.metrics()
    rng = np.random.default_rng(7)
    for _ in range(3):
        vectors = rng.normal(size=(6, 4)).astype(np.float32)
        groups = [MemoryGroup("ü", vectors[0], vectors[1:], np.array([0.0, 1, 0, 1, 1]))]
        assert totals(memory, groups) == totals(straight, groups)
        assert any(totals(memory, groups)[0])
        for each in (memory, straight):
            each.write(groups)


def test_damaged_bytes_of_version_2_are_refused():
    data = VERSION2.read_bytes()
    middle = bytearray(data)
    middle[data.index(b"explore.queries") + 200] ^= 1
    for damaged in (b"", b"\x80\x04N.", data[:100], data[:-30], bytes(middle)):
        with pytest.raises(SparftError, match="cannot be read|fingerprint"):
            MemoryRPlus("mini").load_state_dict(damaged)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({}, "memory state"),
        ({"header": b"\x80\x04N."}, "memory state"),
        ({"header": "[]"}, "memory state"),
        ({"header": "{}"}, "memory state"),
        ({**filled().state_dict(), "failures_written": "text"}, "memory state"),
        ({**filled().state_dict(), "failures_written": np.array([{}], dtype=object)}, "state"),
        ({**filled().state_dict(), "failures_written": np.ones(8, np.uint8)}, "fingerprint"),
        (filled(MemoryR).state_dict(), "name='memory_r'"),
        (filled(dimension=3).state_dict(), "dimension=3, this run has 4"),
    ],
)
def test_a_damaged_state_and_one_of_another_memory_are_refused(state, word):
    with pytest.raises(SparftError, match=word):
        filled().load_state_dict(state)
    with pytest.raises(ValueError, match="Object arrays"):
        pack({}, {"objects": np.array([{}], dtype=object)})


def values(*numbers):
    return np.array(numbers, dtype=np.float64)


def saved_windows(**changes):
    window = WindowNormalizer(3, "per_query")
    window.record("a", values(1, 2))
    window.record("b", values(3))
    return {**window.arrays(), **changes}


def test_a_spread_up_to_rounding_gives_zero():
    window = WindowNormalizer()
    assert window.normalize("q", values(-3.0, 7.0)).tolist() == [0, 0]
    window.record("q", values(2.0, 2.0 + 1e-7, np.nan))
    assert window.normalize("q", values(2.0, 5.0)).tolist() == [0, 0]
    window.record("q", values(4.0))
    np.testing.assert_allclose(window.normalize("q", values(1, 3, 9, np.nan)), [0, 0.5, 1, 0])


@pytest.mark.parametrize(
    ("options", "changes", "word"),
    [
        ((3, "per_query"), {"values": values(1, 2, np.nan)}, "finite"),
        ((3, "per_query"), {"values": np.zeros((1, 1))}, "shape"),
        ((3, "per_query"), {"values": np.zeros(3, np.float32)}, "float64"),
        ((3, "per_query"), {"values": values(1, 2)}, r"shape \(3,\), not"),
        ((3, "per_query"), {"counts": np.array([0, 3])}, "counts"),
        ((3, "per_query"), {"counts": np.array([3])}, "counts"),
        ((3, "per_query"), {"prompt_ids": np.array(["a", "a"])}, "unique"),
        ((3, "per_query"), {"prompt_ids": np.array([1, 2])}, "strings"),
        ((3, "per_query"), {"surprise": values()}, "'surprise'"),
        ((1, "per_query"), {}, "window=1"),
        ((3, "global"), {}, "global"),
        ((3, "per_query", 1), {}, "per_query"),
    ],
)
def test_saved_windows_that_do_not_fit_are_refused(options, changes, word):
    with pytest.raises(SparftError, match=word):
        WindowNormalizer(*options).restore(saved_windows(**changes))
