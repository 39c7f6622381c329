"""What a memory costs a recipe in time and space: refused, or told before it starts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.embedders.models import find_weights
from sparft_plugin.reduction.embedders.sentence_transformer import require_fast_bfloat16
from sparft_plugin.training.encoding import free_cores, memory_encoder

TOKEN_MS, READ = 0.4, 256
"""Milliseconds of a core that all-MiniLM-L6-v2 takes for a token in float32, and how many it reads;
101 ms for a long response on a core with AVX2."""
PATIENCE_S = 10.0
"""Seconds of encoding a step from which a mend is suggested."""
CGROUP = Path("/sys/fs/cgroup/memory.max")
OVERRIDE = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"


def cores_of_a_worker(config: DictConfig) -> int:
    """Cores of this machine for each reward worker; verl deals them out to the nodes in turn."""
    workers = OmegaConf.select(config, "reward.num_workers") or 1
    of_a_node = math.ceil(workers / (OmegaConf.select(config, "trainer.nnodes") or 1))
    return max(1, free_cores() // of_a_node)


def check_memory(config: DictConfig, options: SparftConfig) -> list[str]:
    """Refuse a memory that cannot work as configured; return what the user should know of one."""
    if options.memory is None:
        return []
    given = options.memory_encoder or {}
    _check_encoder(given)
    said = []
    if given.get("precision") == "auto":
        chosen = memory_encoder(options.memory["encoder"], given).precision
        said.append(f"sparft.memory_encoder.precision=auto is {chosen} on this machine.")
    return [*said, *_encoder_speed(config, options), *_size(config, options)]


def _check_encoder(given: Mapping[str, Any]) -> None:
    device = str(given.get("device") or "cpu")
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise SparftError(
                f"sparft.memory_encoder.device={device} needs a GPU where the driver and reward "
                "workers run, and torch finds none here; remove it to encode on the CPU."
            )
        if os.environ.get(OVERRIDE, "0") not in ("0", "false", "False"):
            raise SparftError(
                f"sparft.memory_encoder.device={device} cannot work with {OVERRIDE} set: reward "
                "workers ask Ray for no GPU, so it would hide all from them; unset it."
            )
    elif given.get("precision") == "bfloat16" and given.get("backend", "torch") == "torch":
        require_fast_bfloat16()


def _encoder_speed(config: DictConfig, options: SparftConfig) -> list[str]:
    """One line: what encoding costs a step, and what it asks for where that is long."""
    workers = OmegaConf.select(config, "reward.num_workers")
    length = OmegaConf.select(config, "data.max_response_length")
    rollouts = _rollouts(config)
    device = str((options.memory_encoder or {}).get("device") or "cpu")
    if not workers or not length or not rollouts or device != "cpu":
        return []
    windows = (options.memory or {}).get("stored") == "windows"
    ms = TOKEN_MS * (length if windows else min(length, READ))
    cores = cores_of_a_worker(config)
    seconds = rollouts * ms / 1000 / (workers * cores)
    line = (
        f"the memory's encoder takes up to {ms:.0f} ms of a core for a response, counted as "
        f"all-MiniLM-L6-v2: {workers * cores * 1000 / ms:.0f} responses a second with "
        f"reward.num_workers={workers} of {cores} cores each, {seconds:.1f} s for the {rollouts} "
        "of a step, while others are generated"
    )
    if seconds > PATIENCE_S:
        nodes = OmegaConf.select(config, "trainer.nnodes") or 1
        mend = (
            f"set reward.num_workers={8 * nodes}, so that every node takes part"
            if workers < nodes
            else "take nodes of more cores, or +sparft.memory_encoder.device=cuda"
        )
        line += f"; where generation is shorter, {mend}"
    return [line + "."]


def _rollouts(config: DictConfig) -> int:
    """Rollouts of a step; 0 where the config does not tell."""
    batch = OmegaConf.select(config, "data.train_batch_size") or 0
    return int(batch * (OmegaConf.select(config, "actor_rollout_ref.rollout.n") or 0))


def _size(config: DictConfig, options: SparftConfig) -> list[str]:
    """Warn of a memory that a resume could not hold twice; refuse one that cannot be held."""
    final, machine = final_bytes(config, options), machine_bytes()
    if final is None or 2 * final <= machine:
        return []
    sentence = (
        f"the memory can grow to {final / 1e9:.1f} GB by the end of the run"
        f"{', more than' if final > machine else ', and a resume holds it twice, of'} the "
        f"{machine / 1e9:.1f} GB of this machine; bound it with sparft.memory.response_capacity or "
        "sparft.memory.query_capacity, or halve it with +sparft.memory.storage=float16."
    )
    # The driver may live on another machine than this one.
    elsewhere = OmegaConf.select(config, "ray_kwargs.ray_init.address")
    if final > machine and not elsewhere and not os.environ.get("RAY_ADDRESS"):
        raise SparftError(sentence)
    return [sentence]


def final_bytes(config: DictConfig, options: SparftConfig) -> float | None:
    """Return the most bytes that the memory can hold in the end; None where nothing tells."""
    memory, rows = options.build_memory(), _rows(config)
    capacity = getattr(memory, "response_capacity", None)
    if memory is None or rows is None or capacity is None:
        return None
    width = _width(memory.encoder)
    if width is None:
        return None
    reduction = options.reduction
    kept = (reduction.kept(rows) if reduction is not None else None) or rows
    prompts = min(kept, rows, getattr(memory, "query_capacity", None) or rows)
    terms = 1 + hasattr(memory, "explore")
    responses = prompts * capacity * terms
    steps = OmegaConf.select(config, "trainer.total_training_steps")
    if steps is None and (epochs := OmegaConf.select(config, "trainer.total_epochs")) is not None:
        steps = epochs * max(1, rows // config.data.train_batch_size)
    if steps is not None and (rollouts := _rollouts(config)):
        responses = min(responses, steps * rollouts)
    each = np.dtype(getattr(memory, "storage", "float32")).itemsize
    return float(width * (responses * each + prompts * terms * 8))


def _rows(config: DictConfig) -> int | None:
    """Rows of the training files; None where it takes more than looking at parquet footers."""
    given = OmegaConf.select(config, "data.train_files") or []
    files = [given] if isinstance(given, str) else [str(file) for file in given]
    if not files or not all(file.endswith(".parquet") and Path(file).exists() for file in files):
        return None
    rows = sum(int(pq.read_metadata(file).num_rows) for file in files)
    most = OmegaConf.select(config, "data.train_max_samples") or -1
    return min(rows, most) if most > 0 else rows


def _width(encoder: str) -> int | None:
    """Numbers of an embedding, from the model's config; None if it does not tell."""
    weights = find_weights(encoder)
    path = Path(weights.location) / "config.json"
    if weights.revision is not None:
        from huggingface_hub import hf_hub_download

        path = Path(hf_hub_download(weights.location, "config.json", revision=weights.revision))
    width = json.loads(path.read_text("utf-8")).get("hidden_size") if path.exists() else None
    return width if isinstance(width, int) else None


def machine_bytes() -> float:
    """Memory of this machine, or of the container in which this process is."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = CGROUP.read_text().strip() if CGROUP.exists() else "max"
    return float(whole if limit == "max" else min(whole, int(limit)))
