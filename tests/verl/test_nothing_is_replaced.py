"""Importing the plugin replaces no function of verl, vLLM, Ray or torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROBE = """
import inspect, json, os, sys
os.environ["VERL_USE_EXTERNAL_PLUGINS"] = "none"
import ray, torch.distributed.fsdp, transfer_queue, vllm._custom_ops
import verl.trainer.main_ppo, verl.trainer.ppo.v1
import verl.experimental.reward_loop.reward_manager, verl.utils.dataset.rl_dataset

def snapshot():
    found = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] not in {"verl", "vllm", "ray", "torch", "transfer_queue"}:
            continue
        for name, value in list(vars(module).items()):
            if inspect.isfunction(value) or isinstance(value, bool):
                found[f"{module_name}.{name}"] = id(value)
            elif inspect.isclass(value):
                for attribute, member in list(vars(value).items()):
                    if inspect.isfunction(member):
                        found[f"{module_name}.{name}.{attribute}"] = id(member)
    return found

before = snapshot()
if "PROBE_CPU" in os.environ:
    os.environ["VERL_PLATFORM"] = "cpu"
import importlib
for name in ("dataset", "replay_buffer", "reward_manager", "preflight",
    "legacy"):
    importlib.import_module("sparft_plugin.hosts.verl." + name)
importlib.import_module("verl_cpu.plugin").keep_weights_replaceable()
after = snapshot()
print(json.dumps([len(before), sorted(k for k in before if after.get(k) != before[k])]))
"""


def replaced(**environment: str) -> tuple[int, list[str]]:
    """Return how many functions were watched, and which were replaced."""
    clean = {k: v for k, v in os.environ.items() if k != "VERL_PLATFORM"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    watched, names = json.loads(done.stdout.strip().splitlines()[-1])
    return watched, names


def test_nothing_is_replaced_on_any_accelerator() -> None:
    watched, names = replaced()
    assert watched > 5000
    assert names == []


def test_only_the_cpu_platform_replaces_and_only_what_it_says() -> None:
    _, names = replaced(PROBE_CPU="1")
    assert {name.rsplit(".", 1)[-1] for name in names} == {
        "init_process_group",
        "__init__",
        "_supports_onednn",
    }
    assert {name.split(".")[-2] for name in names if name.endswith("__init__")} == {
        "CPUOffloadPolicy"
    }
