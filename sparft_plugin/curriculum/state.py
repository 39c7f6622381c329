"""State as data: strict keys, arrays as lists, prompts re-mapped by id."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.errors import SparftError

PACKED = 4096


@dataclass(frozen=True, eq=False)
class Remap:
    """Where the prompts of a saved pool are in the present one."""

    to: NDArray[np.int64]
    """New position of each saved prompt, shape (n_saved,); -1 if it is gone."""
    new: int
    """Prompts of the present pool that the saved one lacks."""
    moved: int
    """Prompts that are in both and belong to another arm now."""
    same_pool: bool
    """Whether both pools hold the same prompts in the same arms."""

    @classmethod
    def between(cls, state: Mapping[str, Any], pool: PromptPool) -> Remap:
        """Compare a saved state's prompts and arms with a pool."""
        saved = np.array([name.encode() for name in state["prompts"]])
        if np.array_equal(saved, pool.ids):
            at = np.arange(len(pool))
        else:
            at = np.minimum(np.searchsorted(pool.ids, saved), len(pool) - 1)
        kept = pool.ids[at] == saved
        to = np.where(kept, at, -1)
        arms = unpack(state["arms"], pool.arms)
        moved = int((pool.arms[at[kept]] != arms[kept]).sum())
        new = len(pool) - int(kept.sum())
        return cls(to, new, moved, same_pool=not moved and not new and bool(kept.all()))

    @property
    def kept(self) -> int:
        """Prompts that are in both pools."""
        return int((self.to >= 0).sum())

    @property
    def same_arms(self) -> bool:
        """Whether what was learned of arms still holds."""
        return not self.moved and self.kept > 0

    def position(self, saved: int) -> int:
        """Present position of a saved one; -1 if the prompt is gone."""
        return int(self.to[saved])

    def positions(self, saved: NDArray[np.int64]) -> NDArray[np.int64]:
        """Present positions of saved ones; those that are gone are left out."""
        found: NDArray[np.int64] = self.to[saved]
        return found[found >= 0]

    def report(self) -> str | None:
        """One sentence about what changed; None if nothing did."""
        if self.same_pool:
            return None
        gone = len(self.to) - self.kept
        text = (
            f"the prompts changed since the checkpoint: {self.kept} kept, {self.new} new, "
            f"{gone} gone"
        )
        if self.moved:
            text += (
                f"; {self.moved} moved to another arm, so what was learned of arms starts afresh"
            )
        return text + "."


def check_state(state: Mapping[str, Any], mine: Mapping[str, Any], version: int) -> None:
    """Refuse a state of other keys, another version or another method.

    Raises
    ------
    SparftError
        Naming the keys, the versions or the methods.
    """
    check_method(state, mine["method"])
    check_keys("curriculum state", state, mine)
    if state["version"] != version:
        raise SparftError(
            f"the curriculum state has version {state['version']}, this package reads {version}; "
            "resume with the version that wrote it."
        )
    check_parts(state, mine)


def check_method(state: Mapping[str, Any], mine: str) -> None:
    """Refuse a state that another method wrote; one without a method is left to ``check_keys``.

    Raises
    ------
    SparftError
        Naming both methods.
    """
    if state.get("method", mine) != mine:
        raise SparftError(
            f"the curriculum state was written by {state['method']}, the config asks for {mine}; "
            "set sparft.curriculum back or start a new run."
        )


def check_parts(state: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Refuse a state whose rule has other keys.

    Raises
    ------
    SparftError
        Naming the part and the keys.
    """
    for part in ("by_arm", "by_prompt", "rule"):
        check_keys(f"curriculum state '{part}'", state[part], mine[part])


def check_keys(what: str, got: Mapping[str, Any], wanted: Iterable[str]) -> None:
    """Refuse missing and unknown keys by name.

    Raises
    ------
    SparftError
        If the keys differ.
    """
    missing, unknown = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    if missing or unknown:
        raise SparftError(
            f"the {what} has missing keys {missing} and unknown keys {unknown}; it was written by "
            "another version of this package."
        )


def dump_arrays(owner: Any, names: Sequence[str]) -> dict[str, Any]:
    """Arrays of an object by name; see ``pack``."""
    return {name: pack(getattr(owner, name)) for name in names}


def load_arrays(
    owner: Any, names: Sequence[str], saved: Mapping[str, Any], remap: Remap | None
) -> None:
    """Fill arrays of an object, which hold their prior, with what was saved.

    Parameters
    ----------
    owner : object
        Has the arrays as attributes.
    names : sequence of str
        Which.
    saved : mapping
        What ``dump_arrays`` gave.
    remap : Remap or None
        For arrays by prompt; None fills from the beginning, as arms keep their numbers.
    """
    for name in names:
        array = getattr(owner, name)
        values = unpack(saved[name], array)
        if remap is None:
            count = min(len(array), len(values))
            array[:count] = values[:count]
        else:
            kept = remap.to >= 0
            array[remap.to[kept]] = values[kept]


def pack(array: NDArray[Any]) -> list[Any] | str:
    """An array as JSON: a list, or from 4,096 numbers on its little-endian bytes in base64.

    NaN, which JSON lacks, is null in a list.
    """
    if array.size >= PACKED:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return base64.b64encode(little.tobytes()).decode("ascii")
    values: list[Any] = array.tolist()
    if array.dtype.kind == "f" and np.isnan(array).any():
        marked = array.astype(object)
        marked[np.isnan(array)] = None
        values = marked.tolist()
    return values


def unpack(saved: Sequence[Any] | str, like: NDArray[Any]) -> NDArray[Any]:
    """What ``pack`` gave, as an array of the type and the inner shape of another."""
    if isinstance(saved, str):
        flat = np.frombuffer(base64.b64decode(saved), dtype=like.dtype.newbyteorder("<"))
        values: NDArray[Any] = flat.astype(like.dtype).reshape(-1, *like.shape[1:])
        return values
    return np.array(saved, dtype=like.dtype).reshape(-1, *like.shape[1:])
