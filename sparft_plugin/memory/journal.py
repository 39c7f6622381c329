"""The groups of one step as bytes, so that the step can be written again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.archive import Arrays, check_keys, pack, unpack
from sparft_plugin.memory.base import MemoryGroup

VERSION = 1
KEYS = ("prompt_ids", "counts", "queries", "responses", "accuracies")


def pack_step(step: int, groups: Sequence[MemoryGroup]) -> bytes:
    """Return the groups of a step as npz bytes with a fingerprint; see `archive.pack`.

    Parameters
    ----------
    step : int >= 1
        The memory's step count once the groups are written.
    groups : sequence of MemoryGroup
        As they were given to `IntrinsicReward.write`; there may be none.
    """
    arrays = group_arrays(groups) if groups else {}
    return pack({"version": VERSION, "step": step}, arrays)


def unpack_step(data: bytes, step: int) -> list[MemoryGroup]:
    """Return the groups that `pack_step` was given.

    Raises
    ------
    SparftError
        If the bytes are damaged, or of another step or version.
    """
    header, arrays = unpack(data)
    expected = {"version": VERSION, "step": step}
    check_keys("the header of a journal entry", header, expected)
    if header != expected:
        raise SparftError(f"a journal entry of the memory says {header}, {expected} is due.")
    check_keys("a journal entry of the memory", arrays, KEYS if arrays else ())
    return groups_of(arrays) if arrays else []


def group_arrays(groups: Sequence[MemoryGroup]) -> Arrays:
    """Return one or more groups as arrays over all of them; `groups_of` is the inverse."""
    return {
        "prompt_ids": np.array([group.prompt_id for group in groups], dtype=np.str_),
        "counts": np.array([len(group.responses) for group in groups], np.int64),
        "queries": np.stack([group.query for group in groups]),
        "responses": np.concatenate([group.responses for group in groups]),
        "accuracies": np.concatenate([group.accuracies for group in groups]),
    }


def groups_of(arrays: Arrays) -> list[MemoryGroup]:
    """Return the groups that `group_arrays` was given."""
    ends = np.cumsum(arrays["counts"])[:-1]
    parts = zip(
        arrays["prompt_ids"].tolist(),
        arrays["queries"],
        np.split(arrays["responses"], ends),
        np.split(arrays["accuracies"], ends),
        strict=True,
    )
    return [MemoryGroup(*part) for part in parts]
