"""How many cores each of verl's reward workers may use."""

from __future__ import annotations

import math

from omegaconf import DictConfig, OmegaConf

from sparft_plugin.training.encoding import free_cores


def cores_of_a_worker(config: DictConfig) -> int:
    """Cores of this machine for each reward worker; verl deals them out to the nodes in turn."""
    workers = OmegaConf.select(config, "reward.num_workers") or 1
    of_a_node = math.ceil(workers / (OmegaConf.select(config, "trainer.nnodes") or 1))
    return max(1, free_cores() // of_a_node)
