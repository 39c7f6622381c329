"""The contract of an embedder, as checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparft_plugin.reduction.embedders import Embedder
from sparft_plugin.testing.expect import Checked, expect, expect_dataclass

TEXTS = (
    "What is 2 plus 3?",
    "Spell the word lantern backwards.",
    "",
    " \n\t",
    "Ein Satz mit Umlauten: größer, schöner, \N{GRINNING FACE}.",
    "How many letters are in alphabet? " * 40,
    "x",
    "What is 2 plus 3? ",
)


def check_embedder(factory: Callable[..., Embedder], **options: Any) -> None:
    """Check that an embedder keeps the contract.

    The vector of a text must be a float32 unit vector (or zero, for a blank text) that depends on
    that text alone, to the last bit, whatever texts stand beside it; the identity must be a name
    that two instances share.
    """
    subject = Checked(factory, options)
    embedder, again, name = subject.make(), subject.make(), subject.name
    expect_dataclass(embedder, Embedder, name)
    for what in ("identity", "arithmetic"):
        said = getattr(embedder, what)
        expect(
            isinstance(said, str) and said == getattr(again, what),
            f"{what} of {name} must be the same text for two instances, not {said!r}.",
        )
    expect(bool(embedder.identity), f"the identity of {name} must not be empty.")
    whole = embedder.encode(TEXTS)
    shape = whole.shape
    expect(
        whole.dtype == np.float32 and len(shape) == 2 and shape[0] == len(TEXTS) and shape[1] > 0,
        f"{name} gave {whole.dtype} of shape {shape} for {len(TEXTS)} texts, where float32 of "
        "shape (n, d) is due.",
    )
    expect(bool(np.isfinite(whole).all()), f"{name} gave a vector that is not finite.")
    norms = np.linalg.norm(whole.astype(np.float64), axis=1)
    for text, norm in zip(TEXTS, norms, strict=True):
        # A bag of words has no direction where there is no word.
        lawful = abs(norm - 1) < 1e-3 or (norm == 0 and not text.strip())
        expect(lawful, f"{name} gave {text[:20]!r} a vector of norm {norm:.4f}, not 1.")
    companies = {
        "alone": [embedder.encode([text]) for text in TEXTS],
        "in reverse": [embedder.encode(TEXTS[::-1])[::-1]],
        "twice": [embedder.encode([*TEXTS, *TEXTS])[len(TEXTS) :]],
        "by another instance": [again.encode(list(TEXTS))],
    }
    for how, parts in companies.items():
        differ = np.flatnonzero((np.concatenate(parts) != whole).any(axis=1))
        expect(
            not len(differ),
            f"{name} gives other bits when texts are encoded {how}; the first such text is "
            f"{TEXTS[differ[0]][:20] if len(differ) else ''!r}.",
        )
    nothing = embedder.encode([])
    expect(
        nothing.shape == (0, shape[1]),
        f"{name} gave shape {nothing.shape} for no texts; (0, {shape[1]}) is due.",
    )
