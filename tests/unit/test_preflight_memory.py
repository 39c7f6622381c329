"""A group filter must not look at what the memory pays."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.preflight_memory import check_memory

WITH = SparftConfig.from_mapping({"memory": {"name": "memory_r", "encoder": "tiny"}})
WITHOUT = SparftConfig.from_mapping({})


def recipe(**filters):
    return OmegaConf.create({"algorithm": {"filter_groups": filters or None}})


@pytest.mark.parametrize("metric", ["reward", "seq_reward", "seq_final_reward"])
def test_a_filter_on_the_shaped_reward_is_refused_with_the_mend(metric):
    with pytest.raises(SparftError) as error:
        check_memory(recipe(enable=True, metric=metric), WITH)
    assert str(error.value).startswith(f"algorithm.filter_groups.metric={metric} reads the reward")
    assert str(error.value).endswith("set algorithm.filter_groups.metric=acc.")


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (recipe(enable=True, metric="acc"), WITH),
        (recipe(enable=True, metric="score"), WITH),
        (recipe(enable=False, metric="reward"), WITH),
        (recipe(), WITH),
        (OmegaConf.create({"algorithm": {}}), WITH),
        (recipe(enable=True, metric="reward"), WITHOUT),
    ],
)
def test_every_other_filter_is_let_through(config, options):
    check_memory(config, options)
