"""Groups that lost a rollout, counted over the last steps."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field

from sparft_plugin.errors import SparftError

logger = logging.getLogger(__name__)

STEPS = 20


@dataclass
class Losses:
    """Counts groups that lost a rollout, and stops a run that loses too many.

    Parameters
    ----------
    limit : float in [0, 1]
        ``sparft.max_incomplete``: the share of the groups of `STEPS` steps that may be lost.
        A run that has made fewer steps is held to the same number.
    """

    limit: float
    steps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=STEPS))
    warned: bool = False

    def observe(self, incomplete: int, groups: int) -> None:
        """Take in a step.

        Raises
        ------
        SparftError
            If the limit is passed.
        """
        self.steps.append((incomplete, groups))
        lost, all_groups = map(sum, zip(*self.steps, strict=True))
        if lost > self.limit * all_groups * STEPS / len(self.steps):
            raise SparftError(
                f"{lost} of the {all_groups} groups of the last {len(self.steps)} steps lost a "
                "rollout to a dead worker, a failed agent or a reward of None, more than "
                f"sparft.max_incomplete={self.limit:g} of {STEPS} steps; the first error in "
                "the log above names the cause, and a higher limit goes on without such groups."
            )
        if incomplete and not self.warned:
            self.warned = True
            logger.warning(
                "sparft: %d of the step's %d groups lost a rollout to a dead worker, a failed "
                "agent or a reward of None; curriculum and memory leave such groups out, "
                "sparft/feedback/incomplete counts them, and the run stops at more than "
                "sparft.max_incomplete=%g of %d steps.",
                incomplete,
                groups,
                self.limit,
                STEPS,
            )
