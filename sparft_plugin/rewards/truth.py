"""The ground truth of a row, as the verifiers want it."""

from __future__ import annotations

from numbers import Number
from typing import Any

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards.answers import HASHES, LONGEST, unwrap


def read_truth(ground_truth: Any, data_source: Any) -> str:
    r"""Return the answer that a row wants, without ``\boxed{}``, ``$`` or what precedes ``####``.

    Parameters
    ----------
    ground_truth : str or number
        ``reward_model.ground_truth`` of the row.
    data_source : object
        Its ``data_source``, for the message.

    Raises
    ------
    SparftError
        If it is something else, empty, or longer than an answer may be: no response could ever
        be right.
    """
    if isinstance(ground_truth, (str, Number)) and not isinstance(ground_truth, bool):
        text = unwrap(str(ground_truth).rpartition(HASHES)[2])
        if text is not None:
            return text
    shown = repr(ground_truth)
    raise SparftError(
        f"the ground truth {shown[:80]} of a row of {data_source!r} is no answer; "
        f"reward_model.ground_truth must be a text of 1 to {LONGEST} characters or a number."
    )
