"""The built-in methods, registered by the same hooks as a stranger's package."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from sparft_plugin.hookspecs import hookimpl


def _classes(room: str, **places: str) -> dict[str, type[Any]]:
    """Classes of a room by name, each given as MODULE:CLASS; imported when they are asked for."""
    return {name: resolve_name(f"sparft_plugin.{room}.{at}") for name, at in places.items()}


@hookimpl
def register_embedders() -> dict[str, type[Any]]:
    return _classes(
        "reduction.embedders",
        model2vec="static:Model2VecEmbedder",
        sentence_transformers="sentence_transformer:SentenceTransformerEmbedder",
    )


@hookimpl
def register_selectors() -> dict[str, type[Any]]:
    return _classes(
        "reduction.selectors",
        d3="d3:D3",
        difficulty_spread="difficulty_spread:DifficultySpread",
        farthest_point="farthest_point:FarthestPoint",
        limr="limr:Limr",
        medoid="medoid:Medoid",
        nearest_centroid="nearest_centroid:NearestCentroid",
        random="random_choice:RandomChoice",
    )


@hookimpl
def register_curricula() -> dict[str, type[Any]]:
    return _classes(
        "curriculum",
        adarft="adarft:AdarftCurriculum",
        alp_gmm="alp_gmm:AlpGmmCurriculum",
        bots="bots:BotsCurriculum",
        cyclical="cyclical:CyclicalCurriculum",
        dads="dads:DadsCurriculum",
        dump="dump:DumpCurriculum",
        gain_rl="gain_rl:GainRLCurriculum",
        learnability="learnability:LearnabilityCurriculum",
        mixture="mixture:MixtureCurriculum",
        mopps="mopps:MoppsCurriculum",
        ordered="ordered:OrderedCurriculum",
        pcl="pcl:PclCurriculum",
        sec="sec:SecCurriculum",
        sparft="sparft:SparftCurriculum",
        uniform="uniform:UniformCurriculum",
    )


@hookimpl
def register_group_filters() -> dict[str, type[Any]]:
    return _classes("curriculum", band="filters:Band", mixed_only="filters:MixedOnly")


@hookimpl
def register_intrinsic_rewards() -> dict[str, type[Any]]:
    places = {"memory_r": "memory_r:MemoryR", "memory_r_plus": "memory_r_plus:MemoryRPlus"}
    return _classes("memory", **places)
