"""Recipes on verl's own config tree; each is composed once."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import preflight

(VERL,) = importlib.util.find_spec("verl").submodule_search_locations
VERL_CONFIG = str(Path(VERL) / "trainer" / "config")


@cache
def composed(name: str) -> DictConfig:
    with initialize_config_dir(VERL_CONFIG, version_base=None):
        return compose("ppo_trainer", [f"+sparft={name}"])


def recipe(name: str = "sparft", settings: Mapping[str, Any] | None = None) -> DictConfig:
    """A recipe with a sparft name whose command line sets these keys over ours."""
    config = copy.deepcopy(composed(name))
    for key, value in (settings or {}).items():
        OmegaConf.update(config, key, value, force_add=True)
    return config


def passes(config: DictConfig) -> DictConfig:
    """Adopt and check as hydra's callback does."""
    preflight.adopt(config)
    preflight.check(config)
    return config


def refusal(config: DictConfig) -> str:
    """The sentence with which the callback ends a run."""
    preflight.adopt(config)
    with pytest.raises(SparftError) as error:
        preflight.check(config)
    return str(error.value)


def rows(n: int = 12) -> list[dict[str, Any]]:
    return [
        {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": f"What is {i} plus 1?"}],
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "extra_info": {"difficulty": i / 20},
        }
        for i in range(n)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)
