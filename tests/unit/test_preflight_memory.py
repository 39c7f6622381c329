"""What a memory is refused for before a run, and what is said of its size and its encoder."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import memory_costs
from sparft_plugin.hosts.verl.memory_costs import check_memory, cores_of_a_worker, final_bytes
from sparft_plugin.reduction.embedders import sentence_transformer

ANYWHERE = OmegaConf.create({})
GB = 1e9


@pytest.fixture
def sized(tmp_path, monkeypatch):
    """Make recipes with a number of prompts, on a machine of 8 GB that runs its own Ray."""
    monkeypatch.setattr(memory_costs, "machine_bytes", lambda: 8 * GB)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def made(prompts, epochs=100, address=None, batch=1024, length=4096, **memory):
        pq.write_table(pa.table({"x": np.zeros(prompts, np.int8)}), tmp_path / "train.parquet")
        config = {
            "data": {
                "train_files": str(tmp_path / "train.parquet"),
                "train_batch_size": batch,
                "max_response_length": length,
            },
            "actor_rollout_ref": {"rollout": {"n": 16}},
            "reward": {"num_workers": 8},
            "trainer": {"total_training_steps": None, "total_epochs": epochs},
            "ray_kwargs": {"ray_init": {"address": address}},
        }
        memory = {"name": "memory_r_plus", "encoder": "all-MiniLM-L6-v2", **memory}
        return OmegaConf.create(config), SparftConfig.from_mapping({"memory": memory})

    return made


def test_the_final_size_follows_from_prompts_capacities_and_steps(sized):
    """1.5 kB a response; each of two memories keeps 100 a prompt, and a run has so many."""
    response, query = 4 * 384, 8 * 384
    assert final_bytes(*sized(7473)) == 7473 * 2 * (100 * response + query)
    assert final_bytes(*sized(7473, name="memory_r")) == 7473 * (100 * response + query)
    assert final_bytes(*sized(7473, storage="float16")) == 7473 * 2 * (100 * response / 2 + query)
    assert final_bytes(*sized(7473, query_capacity=10)) == 10 * 2 * (100 * response + query)
    one_epoch = 7 * 1024 * 16 * response + 7473 * 2 * query
    assert final_bytes(*sized(7473, epochs=1)) == one_epoch
    # A reduction keeps a hundred.
    config, _ = sized(7473)
    section = {"memory": {"name": "memory_r", "encoder": "all-MiniLM-L6-v2"}, "reduction": {}}
    reduced = SparftConfig.from_mapping(section)
    assert final_bytes(config, reduced) == 100 * 384 * (400 + 8)


def test_a_memory_larger_than_the_machine_is_refused_with_what_bounds_it(sized):
    with pytest.raises(SparftError) as error:
        check_memory(*sized(40_000))
    assert str(error.value) == (
        "the memory can grow to 12.5 GB by the end of the run, more than the 8.0 GB of this "
        "machine; bound it with sparft.memory.response_capacity or sparft.memory.query_capacity, "
        "or halve it with +sparft.memory.storage=float16."
    )
    (_, warning) = check_memory(*sized(40_000, address="auto"))
    assert warning == str(error.value)
    (_, warning) = check_memory(*sized(20_000))
    assert "grow to 6.3 GB by the end of the run, and a resume holds it twice, of" in warning
    assert len(check_memory(*sized(7473))) == 1


def test_one_line_tells_the_encoders_ceiling_and_what_lifts_it(sized, monkeypatch):
    monkeypatch.setattr(memory_costs, "free_cores", lambda: 8)
    config, options = sized(100)
    (line,) = check_memory(config, options)
    assert line == (
        "the memory's encoder takes up to 102 ms of a core for a response, counted as "
        "all-MiniLM-L6-v2: 78 responses a second with reward.num_workers=8 of 1 cores each, "
        "209.7 s for the 16384 of a step, while others are generated; where generation is shorter, "
        "take nodes of more cores, or +sparft.memory_encoder.device=cuda."
    )
    config.trainer.nnodes = 16
    (line,) = check_memory(config, options)
    assert "reward.num_workers=8 of 8 cores each, 26.2 s" in line
    assert line.endswith("set reward.num_workers=128, so that every node takes part.")
    (short,) = check_memory(*sized(100, batch=16, length=32))
    assert short.endswith("0.4 s for the 256 of a step, while others are generated.")
    (whole,) = check_memory(*sized(100, stored="windows"))
    assert "takes up to 1638 ms" in whole


@pytest.mark.parametrize(
    ("workers", "nodes", "cores"), [(8, 1, 12), (8, 8, 96), (1, 1, 96), (200, 1, 1), (9, 8, 48)]
)
def test_the_reward_workers_of_a_node_share_its_cores(monkeypatch, workers, nodes, cores):
    monkeypatch.setattr(memory_costs, "free_cores", lambda: 96)
    given = {"reward": {"num_workers": workers}, "trainer": {"nnodes": nodes}}
    assert cores_of_a_worker(OmegaConf.create(given)) == cores


def encoding(**options):
    memory = {"name": "memory_r", "encoder": "all-MiniLM-L6-v2"}
    return SparftConfig.from_mapping({"memory": memory, "memory_encoder": options})


def test_an_encoder_on_a_gpu_is_refused_where_it_cannot_work(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SparftError, match=r"memory_encoder\.device=cuda needs a GPU .* none here"):
        check_memory(ANYWHERE, encoding(device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_memory(ANYWHERE, encoding(device="cuda", precision="bfloat16"))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    with pytest.raises(SparftError, match="OVERRIDE_ON_ZERO set: reward workers ask Ray for no"):
        check_memory(ANYWHERE, encoding(device="cuda"))


def test_bfloat16_is_refused_where_it_is_slower_before_the_run(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags : avx2")
    monkeypatch.setattr(sentence_transformer, "CPU_INFO", tmp_path / "cpuinfo")
    with pytest.raises(SparftError, match=r"neither AVX512-BF16 nor AMX; use precision=float32\."):
        check_memory(ANYWHERE, encoding(precision="bfloat16"))
    said, *_ = check_memory(ANYWHERE, encoding(precision="auto"))
    assert said == "sparft.memory_encoder.precision=auto is float32 on this machine."
