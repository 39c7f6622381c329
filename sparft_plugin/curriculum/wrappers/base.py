"""The contract of a wrapper: change what a curriculum chose, and pass on what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparft_plugin.curriculum.contract import Curriculum
from sparft_plugin.curriculum.ledger import Remap
from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Groups, Prompt
from sparft_plugin.curriculum.state import check_state


@dataclass(eq=False)
class Wrapper(Curriculum):
    """A curriculum around another; both share one pool, one random generator and one ledger.

    A wrapper gives ``begin`` (which must not draw), ``choose`` and ``learn`` like any method;
    ``learn`` calls this class's, so that the inner curriculum hears of every group, also of those
    it did not choose. The saved state holds the inner one's under ``inner``.

    Parameters
    ----------
    inner : Curriculum
        What is wrapped, not yet started; it may be a wrapper itself.
    """

    inner: Curriculum

    @property
    def label(self) -> str:
        """Own name around the inner one's."""
        return f"{type(self).__name__}({self.inner.label})"

    def start(self, prompts: Sequence[Prompt] | PromptPool, seed: int = 0) -> Curriculum:
        """Start the inner curriculum, and stand around it."""
        self.inner.start(prompts, seed)
        self.pool, self.rng, self.ledger = self.inner.pool, self.inner.rng, self.inner.ledger
        self._begin_anew()
        return self

    def learn(self, groups: Groups) -> None:
        """Pass the groups on."""
        self.inner.learn(groups)

    def metrics(self) -> dict[str, float]:
        """Those of the inner curriculum."""
        return self.inner.metrics()

    def state_dict(self) -> dict[str, Any]:
        """Own arrays around the inner state."""
        return {"method": self.label, "inner": self.inner.state_dict(), **self._learned()}

    def restore(self, state: Mapping[str, Any]) -> Remap:
        """Restore the inner curriculum, then what is its own."""
        remap = self.inner.restore(state["inner"])
        self._begin_anew()
        self.load_rule(state, remap)
        return remap

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Check own keys and the whole of the inner state."""
        check_state(state, {"method": self.label, "inner": None, **self._learned()})
        self.inner.check_state(state["inner"])
