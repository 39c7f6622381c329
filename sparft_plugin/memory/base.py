"""What every intrinsic reward is told, what it answers, and how it is saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparft_plugin.errors import SparftError, require
from sparft_plugin.memory.archive import Arrays, State, check_keys, pack, unpack, unpack_version2
from sparft_plugin.options import check_whole

STATE_VERSION = 3


@dataclass(frozen=True, eq=False)
class MemoryGroup:
    """What the memory is told of one group: all rollouts of one pick.

    Parameters
    ----------
    prompt_id : str
        The prompt's identity; rollouts are remembered under it.
    query : float32 (d,)
        Embedding of the prompt.
    responses : float32 (g, d), g >= 1
        Embeddings of the responses in rollout order, by the same encoder. A zero embedding is
        taken as it is: its cosine with anything is 0. Equal ones are separate responses.
    accuracies : float64 (g,) in [0, 1]
        Raw accuracy of each response, before any shaping.

    Raises
    ------
    SparftError
        If there is no response, an embedding is not finite, or a shape or range is broken.
    """

    prompt_id: str
    query: NDArray[np.float32]
    responses: NDArray[np.float32]
    accuracies: NDArray[np.float64]

    def __post_init__(self) -> None:
        query = self._embedding("query", self.query, 1)
        responses = self._embedding("responses", self.responses, 2)
        accuracies = np.asarray(self.accuracies, dtype=np.float64)
        if responses.shape[1] != len(query):
            raise self._error(
                f"responses have {responses.shape[1]} dimensions and the query has {len(query)}; "
                "encode both with one encoder."
            )
        if accuracies.shape != (len(responses),):
            wanted = f"({len(responses)},), one per response, not {accuracies.shape}"
            raise self._error(f"accuracies must have shape {wanted}.")
        if not ((accuracies >= 0) & (accuracies <= 1)).all():
            raise self._error("accuracies must lie in [0, 1].")
        vars(self).update(query=query, responses=responses, accuracies=accuracies)

    def _embedding(self, name: str, values: ArrayLike, axes: int) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            embedding = np.asarray(values, dtype=np.float32)
        if embedding.ndim != axes or not embedding.size:
            shape = f"{'(d,)' if axes == 1 else '(g, d)'} and not be empty, not {embedding.shape}"
            raise self._error(f"{name} must have shape {shape}.")
        if not np.isfinite(embedding).all():
            raise self._error(f"{name} must be finite in float32; check the encoder.")
        return embedding

    def _error(self, fault: str) -> SparftError:
        return SparftError(f"memory group of prompt '{self.prompt_id}': {fault}")


@dataclass(frozen=True, eq=False)
class Terms:
    """The intrinsic reward of one group's g rollouts; a method says so if it leaves the ranges."""

    exploit: NDArray[np.float64]
    """Closeness to past successes, (g,) in [0, 1], before its weight."""
    explore: NDArray[np.float64]
    """Novelty against past failures, (g,) in [0, 1], before its weight."""
    total: NDArray[np.float64]
    """The weighted sum (g,), which is added to the outcome reward."""


@dataclass(eq=False)
class IntrinsicReward(ABC):
    """A reward from memory: score the groups of a step, then write them.

    A step is one call of `write`. A method is a dataclass whose init fields are its options; it
    gives `name`, `terms`, `remember`, `metrics`, `arrays` and `restore`, and this class owns
    checks, order and the saved state.
    """

    name: ClassVar[str]

    encoder: str
    """Identity of the encoder of the embeddings; a state made with another one is refused."""
    step: int = field(default=0, init=False)
    """Number of steps written so far."""
    dimension: int | None = field(default=None, init=False)
    """Length d of the embeddings; None before anything was written."""
    zero_embeddings: int = field(default=0, init=False)
    """Responses written so far whose embedding is zero in every coordinate."""

    def __post_init__(self) -> None:
        named = isinstance(self.encoder, str) and bool(self.encoder)
        require(named, f"sparft.memory.encoder must name the encoder, not {self.encoder!r}.")

    def score(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """Score groups, in the order given, against the memory as it stands; nothing is written.

        No group's terms depend on the other groups, unless the method says so. Groups that `check`
        refuses are a SparftError, here and in `write`.
        """
        self.check(groups)
        return self.terms(groups) if groups else []

    def write(self, groups: Sequence[MemoryGroup]) -> None:
        """Remember all groups of a step, once, and count the step.

        Groups are written by `prompt_id`, their rollouts in order, so the memory does not depend
        on which worker finished first; groups of the same prompt keep the order given. If groups
        are refused, the memory is as before.
        """
        self.check(groups)
        if groups:
            self.dimension = len(groups[0].query)
            self.remember(sorted(groups, key=lambda group: group.prompt_id))
        self.zero_embeddings += sum(int((~g.responses.any(axis=1)).sum()) for g in groups)
        self.step += 1

    def check(self, groups: Sequence[MemoryGroup]) -> None:
        """Refuse groups whose embeddings differ in dimension, from each other or the memory's."""
        dimension = self.dimension
        for group in groups:
            dimension = dimension or len(group.query)
            require(
                len(group.query) == dimension,
                f"the embedding of prompt '{group.prompt_id}' has {len(group.query)} dimensions, "
                f"the memory has {dimension}; was the encoder '{self.encoder}' changed?",
            )

    @abstractmethod
    def terms(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """Score one or more groups of the memory's dimension; must change nothing."""

    @abstractmethod
    def remember(self, groups: Sequence[MemoryGroup]) -> None:
        """Write one or more groups, already in their final order."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Return ``success`` and ``failure`` (stored responses), ``queries``, ``bytes``, more."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return the memory's content as arrays under fixed names, for `restore`.

        An array may be cut into parts, ``NAME#0``, ``NAME#1`` and on. What is contiguous and stays
        as it is until the next `remember` is saved without a copy.
        """

    @abstractmethod
    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Copy the content that `arrays` returned; on a SparftError change nothing."""

    def options(self) -> dict[str, Any]:
        """Return the method's options with their values, the encoder left out."""
        names = [option.name for option in fields(self) if option.init]
        return {name: getattr(self, name) for name in names if name != "encoder"}

    def state_dict(self) -> State:
        """Return the whole state as data: ``header``, which is equal of equal states, and arrays.

        The arrays share memory with this one's, so it must be saved before the next `write`.
        """
        return pack(self._header(), self.arrays())

    def load_state_dict(self, state: Mapping[str, Any] | bytes) -> None:
        """Put back what `state_dict` returned, or the bytes that it was in release 0.1.0.

        If the state is damaged, or keys, version, method, encoder, options, dimension or arrays are
        not what this memory expects, it is a SparftError and the memory is as before.
        """
        header, arrays = unpack_version2(state) if isinstance(state, bytes) else unpack(state)
        self._check_header(header)
        check_keys("the memory state", arrays, self.arrays())
        self.restore(arrays, header["dimension"])
        self.step, self.dimension = header["step"], header["dimension"]
        self.zero_embeddings = header["zero_embeddings"]

    def _header(self) -> dict[str, Any]:
        return {
            "version": STATE_VERSION,
            "name": self.name,
            "encoder": self.encoder,
            "options": self.options(),
            "dimension": self.dimension,
            "step": self.step,
            "zero_embeddings": self.zero_embeddings,
        }

    def _check_header(self, header: Mapping[str, Any]) -> None:
        own = self._header()
        check_keys("the header of the memory state", header, own)
        for key in ("version", "name", "encoder"):
            _check_same(key, header[key], own[key])
        plain = isinstance(header["options"], dict)
        require(plain, "options in the header of the memory state are not a JSON object.")
        check_keys("options of the memory state", header["options"], own["options"])
        for key, value in own["options"].items():
            _check_same(f"sparft.memory.{key}", header["options"][key], value)
        for count in ("step", "zero_embeddings"):
            check_whole(f"{count} of the memory state", header[count], 0)
        if header["dimension"] is not None:
            check_whole("dimension of the memory state", header["dimension"], 1)
            if self.dimension is not None:
                _check_same("dimension", header["dimension"], self.dimension)


def _check_same(key: str, saved: Any, own: Any) -> None:
    require(
        bool(saved == own),
        f"the memory state was saved with {key}={saved!r}, this run has {own!r}; set it back, or "
        "start with an empty memory.",
    )
