"""How attempts are sampled, and the seed that each prompt has for itself."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from sparft_plugin.errors import SparftError


@dataclass(frozen=True)
class Sampling:
    """Sampling of the attempts at each prompt.

    Parameters
    ----------
    attempts : int >= 1, default 8
        Responses sampled for each prompt.
    temperature : float >= 0, default 1.0
        0 is greedy, which makes all attempts equal and so allows one only.
    top_p : float in (0, 1], default 1.0
        Nucleus that tokens are drawn from.
    max_tokens : int >= 1, default 1024
        Longest response in tokens; what the model's context leaves, if that is less.
    seed : int, default 0
        Seed of all samples.

    Raises
    ------
    SparftError
        If a value is out of range.
    """

    attempts: int = 8
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("attempts", "max_tokens"):
            if getattr(self, name) < 1:
                raise SparftError(f"{name} must be an integer >= 1, not {getattr(self, name)}.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0.0):
            raise SparftError(f"temperature must be a number >= 0, not {self.temperature}.")
        if not 0.0 < self.top_p <= 1.0:
            raise SparftError(f"top_p must be in (0, 1], not {self.top_p}.")
        if self.temperature == 0.0 and self.attempts > 1:
            raise SparftError(
                f"at temperature 0 all {self.attempts} attempts are equal; set attempts to 1 or "
                "the temperature above 0."
            )


def prompt_seed(seed: int, prompt: str) -> int:
    """Seed of one prompt's samples, whatever batch it is in and whenever that runs.

    Parameters
    ----------
    seed : int
        Seed of the whole measurement.
    prompt : str
        The prompt's id.

    Returns
    -------
    int in [0, 2**48)
        48 bits of the BLAKE2b of both: engines count on from it, one for each attempt.
    """
    text = f"{seed}/{prompt}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")
