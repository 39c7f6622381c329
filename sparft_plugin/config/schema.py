"""The validated form of the ``sparft`` section of a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sparft_plugin import plugins
from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError, refuse_unknown, require

if TYPE_CHECKING:
    from sparft_plugin.curriculum import Curriculum
    from sparft_plugin.curriculum.filters import GroupFilter
    from sparft_plugin.memory.base import IntrinsicReward
    from sparft_plugin.reduction import ReductionConfig

T = TypeVar("T")
FILTER = "sparft.group_filter"


@dataclass(frozen=True)
class WrappedDataset:
    """The recipe's own dataset class; ``path`` None stands for verl's ``RLHFDataset``."""

    path: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class WrappedRewardManager:
    """The recipe's own reward manager, in verl's terms; the default is verl's ``naive``."""

    source: str = "register"
    name: str = "naive"
    path: str | None = None


@dataclass(frozen=True)
class Wraps:
    """What goes on working inside our pieces."""

    dataset: WrappedDataset = WrappedDataset()
    reward_manager: WrappedRewardManager = WrappedRewardManager()


@dataclass(frozen=True)
class SparftConfig:
    """The ``sparft`` section, checked."""

    seed: int = 0
    """Seed of the curriculum, and of the reduction unless it sets its own; at least 0."""
    accuracy: str | None = None
    """See `AccuracyRule`."""
    max_incomplete: float = 0.02
    """Share of the groups of 20 steps that may lose a rollout before the run stops, in [0, 1]."""
    reduction: ReductionConfig | None = None
    """None trains on every prompt."""
    curriculum: Mapping[str, Any] | None = None
    """``name``, the wrappers ``share_floor`` and ``retest``, and the method's own options; None
    keeps the recipe's order."""
    group_filter: Mapping[str, Any] | None = None
    """``name`` and the filter's own options; None trains on every finished group."""
    memory: Mapping[str, Any] | None = None
    """``name``, ``encoder``, ``fade`` and the method's own options; None pays nothing."""
    memory_encoder: Mapping[str, Any] | None = None
    """How the memory's encoder computes, for example its precision; None is its default way."""
    wraps: Wraps = Wraps()
    """The recipe's own classes inside ours."""

    @classmethod
    def from_mapping(cls, section: Mapping[str, Any]) -> SparftConfig:
        """Check a plain mapping; every unknown key is refused with the nearest one."""
        given = _only_known("sparft", section, cls)
        seed = given.get("seed", 0)
        require(
            type(seed) is int and seed >= 0,
            f"sparft.seed={seed!r} must be a whole number of at least 0.",
        )
        limit = given.get("max_incomplete", cls.max_incomplete)
        require(
            type(limit) in (int, float) and 0 <= limit <= 1,
            f"sparft.max_incomplete={limit!r} must be a share between 0 and 1.",
        )
        wraps = _only_known("sparft.wraps", given.get("wraps") or {}, Wraps)
        filters = given.get("group_filter")
        config = cls(
            seed=seed,
            accuracy=AccuracyRule(given.get("accuracy")).rule,
            max_incomplete=float(limit),
            reduction=_reduction(given.get("reduction")),
            curriculum=_method("sparft.curriculum", given.get("curriculum")),
            # The composed config always has this section, without a name.
            group_filter=None if filters == {"name": None} else _method(FILTER, filters),
            memory=_method("sparft.memory", given.get("memory")),
            memory_encoder=_section("sparft.memory_encoder", given.get("memory_encoder")),
            wraps=Wraps(
                _fields_of(WrappedDataset, "sparft.wraps.dataset", wraps.get("dataset")),
                _fields_of(
                    WrappedRewardManager, "sparft.wraps.reward_manager", wraps.get("reward_manager")
                ),
            ),
        )
        config.build_curriculum()
        config.build_group_filter()
        config.build_memory()
        _ = config.fade
        return config

    def build_curriculum(self) -> Curriculum | None:
        """Construct the curriculum in its wrappers, not yet bound to a pool; None if none."""
        from sparft_plugin.curriculum.wrappers.wrap import split, wrap

        if self.curriculum is None:
            return None
        options, wrappers = split(self.curriculum)
        return wrap(_build("curriculum", options), wrappers)

    def build_group_filter(self) -> GroupFilter | None:
        """Construct the filter of finished groups; None if there is none."""
        if self.group_filter is None:
            return None
        built: GroupFilter = _build("group filter", self.group_filter)
        return built

    def build_memory(self) -> IntrinsicReward | None:
        """Construct the intrinsic reward with an empty memory; None if there is none."""
        if self.memory is None:
            return None
        options = {k: v for k, v in self.memory.items() if k != "fade"}
        built: IntrinsicReward = _build("intrinsic reward", options)
        return built

    @property
    def fade(self) -> bool:
        """Whether a collapse fades the intrinsic reward out; without it a collapse is only told."""
        fade: bool = (self.memory or {}).get("fade", False)
        require(isinstance(fade, bool), f"sparft.memory.fade={fade!r} must be true or false.")
        return fade


def _build(kind: str, section: Mapping[str, Any]) -> Any:
    options = dict(section)
    return plugins.build(kind, options.pop("name"), options)


def _method(key: str, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if given is None:
        return None
    name = given.get("name") if isinstance(given, Mapping) else None
    if not isinstance(name, str) or not name:
        raise SparftError(f"{key} must hold a name; write {key}.name=NAME.")
    return dict(given)


def _reduction(given: Mapping[str, Any] | None) -> ReductionConfig | None:
    from sparft_plugin.reduction import ReductionConfig

    if given is None:
        return None
    config = _fields_of(ReductionConfig, "sparft.reduction", given)
    config.build_selector()
    config.build_embedder()
    return config


def _only_known(key: str, given: Mapping[str, Any] | None, cls: type[Any]) -> dict[str, Any]:
    """Return the mapping as a dict after refusing keys that are no field of the class."""
    given = _section(key, given) or {}
    refuse_unknown(f"option of {key}", given, plugins.option_names(cls))
    return {str(name): value for name, value in given.items()}


def _fields_of(cls: type[T], key: str, given: Any) -> T:
    return cls(**_only_known(key, given, cls))


def _section(key: str, given: Any) -> Mapping[str, Any] | None:
    if given is not None and not isinstance(given, Mapping):
        raise SparftError(f"{key}={given!r} must be a section with options.")
    return given
