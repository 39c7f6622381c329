"""The built-in methods, registered by the same hooks as a stranger's package."""

from __future__ import annotations

from typing import Any

from sparft_plugin.hookspecs import hookimpl


@hookimpl
def register_embedders() -> dict[str, type[Any]]:
    from sparft_plugin.reduction.embed import SentenceTransformerEmbedder

    return {"sentence_transformers": SentenceTransformerEmbedder}


@hookimpl
def register_selectors() -> dict[str, type[Any]]:
    from sparft_plugin.reduction.select import FarthestPoint, RandomChoice

    return {"farthest_point": FarthestPoint, "random": RandomChoice}


@hookimpl
def register_curricula() -> dict[str, type[Any]]:
    from sparft_plugin.curriculum.sparft import SparftCurriculum
    from sparft_plugin.curriculum.uniform import UniformCurriculum

    return {"sparft": SparftCurriculum, "uniform": UniformCurriculum}


@hookimpl
def register_intrinsic_rewards() -> dict[str, type[Any]]:
    from sparft_plugin.memory.memory_r import MemoryR
    from sparft_plugin.memory.memory_r_plus import MemoryRPlus

    return {"memory_r": MemoryR, "memory_r_plus": MemoryRPlus}
