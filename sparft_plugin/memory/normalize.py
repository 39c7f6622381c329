"""Scale raw intrinsic rewards to [0, 1] by what was seen lately."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import require
from sparft_plugin.memory.archive import Arrays, check_array, check_ids, check_keys
from sparft_plugin.options import check_choice, check_whole

SCOPES = ("global", "per_query")
EPS = 1e-8
# Both raw rewards are of order 1 and come from float32 embeddings: a spread below this is
# rounding of the encoder, and stretching it to [0, 1] would pay noise in full.
FLAT = 1e-6


@dataclass(eq=False)
class WindowNormalizer:
    """Min-max scaling by the last `window` raw values of earlier steps.

    R -> (R - min_w) / (max_w - min_w + eps), https://arxiv.org/abs/2504.02273. Decisions where
    the paper is silent: the statistics are those of former steps and stand still while a step is
    scored, so the result does not depend on the order inside a batch; a value outside the window's
    range is therefore possible and is clipped to [0, 1]; an empty window, and one whose values are
    all equal (max - min <= ``FLAT``), give 0.

    Parameters
    ----------
    window : int >= 1, default 100
        Number w of raw values that a window keeps.
    scope : {"global", "per_query"}, default "global"
        One window for all queries, or one for each: then a response is compared with earlier ones
        to the same prompt, and a prompt's first visit pays 0.
    capacity : int >= 1 or None, default None
        Largest number of windows; the one that was opened first gives way.
    """

    window: int = 100
    scope: str = "global"
    capacity: int | None = None
    windows: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)
    """The raw values by prompt id, oldest first; in the global scope the only id is ""."""

    def __post_init__(self) -> None:
        check_whole("sparft.memory.window", self.window, 1)
        check_choice("sparft.memory.normalize", self.scope, SCOPES)

    def normalize(self, prompt_id: str, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale raw values (n,) of a prompt's responses to [0, 1]; nothing is recorded.

        NaN stands for "there was nothing to compare with" and gives 0.
        """
        values = self.windows.get(self._key(prompt_id), np.zeros(1))
        low, high = values.min(), values.max()
        if high - low <= FLAT:
            return np.zeros(len(raw))
        scaled: NDArray[np.float64] = np.clip((raw - low) / (high - low + EPS), 0.0, 1.0)
        return np.where(np.isnan(raw), 0.0, scaled)

    def record(self, prompt_id: str, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Append a prompt's raw values (n,) in order, NaN left out, and return the window."""
        key, fresh = self._key(prompt_id), raw[~np.isnan(raw)]
        before = self.windows.get(key, np.empty(0))
        if not len(fresh):
            return before
        if key not in self.windows and len(self.windows) == self.capacity:
            del self.windows[next(iter(self.windows))]
        self.windows[key] = np.concatenate([before, fresh])[-self.window :]
        return self.windows[key]

    def _key(self, prompt_id: str) -> str:
        return prompt_id if self.scope == "per_query" else ""

    def fork(self) -> WindowNormalizer:
        """Return a copy; neither sees what the other records."""
        forked = replace(self)
        forked.windows = dict(self.windows)
        return forked

    def arrays(self) -> Arrays:
        """Return ``prompt_ids`` str (n,), ``counts`` int64 (n,) and ``values`` float64 (sum,)."""
        return {
            "prompt_ids": np.array(list(self.windows), dtype=np.str_),
            "counts": np.array([len(v) for v in self.windows.values()], np.int64),
            "values": np.concatenate([np.empty(0), *self.windows.values()]),
        }

    def restore(self, arrays: Arrays) -> None:
        """Put back what `arrays` returned; what does not fit these options is refused."""
        what = "the memory's saved windows"
        check_keys(what, arrays, self.arrays())
        counts, values = arrays["counts"], arrays["values"]
        names = check_ids(what, arrays["prompt_ids"], counts)
        check_array(f"values of {what}", values, np.float64, int(counts.sum()))
        most = counts.max(initial=0)
        require(
            most <= self.window,
            f"one of {what} holds {most} values, more than sparft.memory.window={self.window}.",
        )
        require(
            all(self._key(name) == name for name in names)
            and (self.capacity is None or len(names) <= self.capacity),
            f"{what} do not fit sparft.memory.normalize={self.scope}.",
        )
        parts = np.split(values, np.cumsum(counts)[:-1]) if names else []
        self.windows = {name: part.copy() for name, part in zip(names, parts, strict=True)}
