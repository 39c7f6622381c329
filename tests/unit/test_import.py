"""Importing the package is quick and leaves the heavy libraries alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "ray", "verl", "vllm", "sentence_transformers", "transformers", "datasets"}


def fresh_python(code: str, **environment: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def seconds_to_import(module: str) -> float:
    clock = "from time import perf_counter as now; start = now()"
    return float(fresh_python(f"{clock}; import {module}; print(now() - start)"))


def modules_after(statement: str, **environment: str) -> set[str]:
    """Top-level modules that are loaded after a statement."""
    code = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(fresh_python(code, **environment).split())


def test_the_package_is_imported_in_less_than_three_tenths_of_a_second():
    assert min(seconds_to_import("sparft_plugin") for _ in range(3)) < 0.3


@pytest.mark.parametrize(
    "statement",
    [
        "import sparft_plugin",
        "import sparft_plugin.cli.main",
        "import sparft_plugin.curriculum",
        "import sparft_plugin.memory.memory_r_plus",
        "import sparft_plugin.report.reduction_page, sparft_plugin.simulate.show",
        "from sparft_plugin.config.schema import SparftConfig; SparftConfig.from_mapping({})",
        "from sparft_plugin.config.arguments import known_options; known_options()",
        "from sparft_plugin.plugins import KINDS, registered; [registered(kind) for kind in KINDS]",
    ],
)
def test_the_core_loads_no_heavy_library(statement):
    loaded = modules_after(statement)
    assert "sparft_plugin" in loaded
    assert not (HEAVY | {"matplotlib", "jinja2"}) & loaded


def test_only_the_cpu_profile_makes_verl_and_vllm_load_anything_of_ours():
    def groups(file: str) -> set[str]:
        return set(re.findall(r'\[project\.entry-points\."?([\w.]+)', Path(file).read_text()))

    assert groups("pyproject.toml") == {"sparft_plugin"}
    profile = groups("constraints/verl-cpu/pyproject.toml")
    assert profile == {"verl.plugins", "vllm.general_plugins"}


def test_what_verl_loads_in_every_process_is_nothing_unless_the_platform_is_cpu():
    path = str(Path("constraints/verl-cpu").absolute())
    loaded = modules_after("import verl_cpu.plugin", VERL_PLATFORM="", PYTHONPATH=path)
    assert not (HEAVY | {"numpy", "pyarrow"}) & loaded
