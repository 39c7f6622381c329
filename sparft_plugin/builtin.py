"""The built-in methods, registered by the same hooks as a stranger's package."""

from __future__ import annotations

from typing import Any

from sparft_plugin.hookspecs import hookimpl


@hookimpl
def register_embedders() -> dict[str, type[Any]]:
    from sparft_plugin.reduction.embedders.sentence_transformer import (
        SentenceTransformerEmbedder,
    )
    from sparft_plugin.reduction.embedders.static import Model2VecEmbedder

    return {"model2vec": Model2VecEmbedder, "sentence_transformers": SentenceTransformerEmbedder}


@hookimpl
def register_selectors() -> dict[str, type[Any]]:
    from sparft_plugin.reduction.selectors.d3 import D3
    from sparft_plugin.reduction.selectors.difficulty_spread import DifficultySpread
    from sparft_plugin.reduction.selectors.farthest_point import FarthestPoint
    from sparft_plugin.reduction.selectors.limr import Limr
    from sparft_plugin.reduction.selectors.medoid import Medoid
    from sparft_plugin.reduction.selectors.nearest_centroid import NearestCentroid
    from sparft_plugin.reduction.selectors.random_choice import RandomChoice

    return {
        "d3": D3,
        "difficulty_spread": DifficultySpread,
        "farthest_point": FarthestPoint,
        "limr": Limr,
        "medoid": Medoid,
        "nearest_centroid": NearestCentroid,
        "random": RandomChoice,
    }


@hookimpl
def register_curricula() -> dict[str, type[Any]]:
    from sparft_plugin.curriculum.adarft import AdarftCurriculum
    from sparft_plugin.curriculum.alp_gmm import AlpGmmCurriculum
    from sparft_plugin.curriculum.bots import BotsCurriculum
    from sparft_plugin.curriculum.cyclical import CyclicalCurriculum
    from sparft_plugin.curriculum.dads import DadsCurriculum
    from sparft_plugin.curriculum.dump import DumpCurriculum
    from sparft_plugin.curriculum.gain_rl import GainRLCurriculum
    from sparft_plugin.curriculum.learnability import LearnabilityCurriculum
    from sparft_plugin.curriculum.mixture import MixtureCurriculum
    from sparft_plugin.curriculum.mopps import MoppsCurriculum
    from sparft_plugin.curriculum.ordered import OrderedCurriculum
    from sparft_plugin.curriculum.pcl import PclCurriculum
    from sparft_plugin.curriculum.sec import SecCurriculum
    from sparft_plugin.curriculum.sparft import SparftCurriculum
    from sparft_plugin.curriculum.uniform import UniformCurriculum

    return {
        "adarft": AdarftCurriculum,
        "alp_gmm": AlpGmmCurriculum,
        "bots": BotsCurriculum,
        "cyclical": CyclicalCurriculum,
        "dads": DadsCurriculum,
        "dump": DumpCurriculum,
        "gain_rl": GainRLCurriculum,
        "learnability": LearnabilityCurriculum,
        "mixture": MixtureCurriculum,
        "mopps": MoppsCurriculum,
        "ordered": OrderedCurriculum,
        "pcl": PclCurriculum,
        "sec": SecCurriculum,
        "sparft": SparftCurriculum,
        "uniform": UniformCurriculum,
    }


@hookimpl
def register_group_filters() -> dict[str, type[Any]]:
    from sparft_plugin.curriculum.filters import Band, MixedOnly

    return {"band": Band, "mixed_only": MixedOnly}


@hookimpl
def register_intrinsic_rewards() -> dict[str, type[Any]]:
    from sparft_plugin.memory.memory_r import MemoryR
    from sparft_plugin.memory.memory_r_plus import MemoryRPlus

    return {"memory_r": MemoryR, "memory_r_plus": MemoryRPlus}
