"""A stranger's package joins by its entry point alone, and a broken one hurts nobody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The folder that the example package is installed into."""
    folder = tmp_path_factory.mktemp("example")
    # setuptools writes its build folder into the source.
    source = shutil.copytree(ROOT / "tests" / "example_plugin", folder / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--target", folder / "site", source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


def write_plugin(folder: Path, name: str, module: str) -> Path:
    """Write an installed package by hand: a module and its entry point."""
    (folder / f"{name}.py").write_text(module)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[sparft_plugin]\n{name}_entry = {name}\n")
    return folder


def run(arguments: list[str], *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with these folders of packages installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def registered(kind: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Print the registered names of a kind as JSON."""
    code = "import json, sys; from sparft_plugin.plugins import registered;"
    return run(["-c", f"{code} print(json.dumps(sorted(registered(sys.argv[1]))))", kind], *paths)


def names(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_names_stand_beside_the_built_in_ones_and_nothing_is_warned(example):
    curricula = registered("curriculum", example)
    assert names(curricula) == sorted([*names(registered("curriculum")), "round_robin"])
    assert curricula.stderr == ""
    assert {"farthest_point", "first_k"} <= set(names(registered("selector", example)))
    rewards = names(registered("intrinsic reward", example))
    assert rewards == ["hash_count", "memory_r", "memory_r_plus"]


def test_its_methods_do_what_they_say_and_its_author_checks_each_in_a_line(example):
    done = run(
        [
            "-c",
            "import numpy as np\n"
            "from sparft_example import FirstK, HashCount, RoundRobin\n"
            "from sparft_plugin.curriculum import Prompt\n"
            "from sparft_plugin.memory.base import MemoryGroup\n"
            "from sparft_plugin.plugins import build\n"
            "from sparft_plugin.reduction.selectors import Members\n"
            "from sparft_plugin.testing import check_curriculum, check_selector\n"
            "from sparft_plugin.testing import check_intrinsic_reward\n"
            "check_curriculum(RoundRobin)\n"
            "check_selector(FirstK)\n"
            "check_intrinsic_reward(HashCount)\n"
            "pool = [Prompt(f'{arm}-{i}', arm) for arm in (0, 1, 4) for i in range(arm + 2)]\n"
            "curriculum = build('curriculum', 'round_robin').start(pool)\n"
            "picks = curriculum.select(4) + curriculum.select(3)\n"
            "print([pick.prompt.arm for pick in picks])\n"
            "select, four = build('selector', 'first_k').select, Members(np.zeros((4, 2)))\n"
            "rng = np.random.default_rng(0)\n"
            "print([select(four, k, rng).tolist() for k in (0, 2, 9)])\n"
            "options = {'encoder': 'e', 'weight': 1.0}\n"
            "memory = build('intrinsic reward', 'hash_count', options)\n"
            "def group(*rows):\n"
            "    return MemoryGroup('a', [1, 0], np.array(rows), np.ones(len(rows)))\n"
            "memory.write([group([1, 0], [2, 0], [1, 0])])\n"
            "print(memory.score([group([3, 0], [-1, 0])])[0].total.tolist())",
        ],
        example,
    )
    assert done.stdout.splitlines() == [
        "[0, 1, 4, 0, 1, 4, 0]",
        "[[], [0, 1], [0, 1, 2, 3]]",
        "[0.5, 1.0]",
    ], done.stderr
    assert (done.returncode, done.stderr) == (0, "")


def test_its_methods_pass_the_matrices_that_ours_pass(example):
    kinds = ("curriculum", "selector", "intrinsic")
    matrices = [f"tests/contract/test_{kind}_matrix.py" for kind in kinds]
    # The selector goes by the order of ids alone, so another order is another choice.
    mine = "round_robin or hash_count or (first_k and not another_order)"
    options = ["-q", "-rp", "-p", "no:cacheprovider"]
    done = run(["-m", "pytest", *matrices, "-k", mine, *options], example)
    assert done.returncode == 0, done.stdout
    for matrix in matrices:
        assert f"PASSED {matrix}" in done.stdout


def test_a_verl_command_line_selects_both_by_name(example):
    overrides = ["sparft.curriculum.name=round_robin", "sparft.reduction.selector=first_k"]
    verl = ["-m", "verl.trainer.main_ppo", "+sparft=sparft", *overrides]
    done = run([*verl, "--cfg", "job", "--resolve", "--package", "sparft"], example)
    assert done.returncode == 0, done.stderr
    checked = run(
        [
            "-c",
            "import sys, yaml\n"
            "from sparft_plugin.config.schema import SparftConfig\n"
            "options = SparftConfig.from_mapping(yaml.safe_load(sys.argv[1]))\n"
            "print(type(options.build_curriculum()).__name__, options.reduction.selector)",
            done.stdout,
        ],
        example,
    )
    assert checked.stdout == "RoundRobin first_k\n", checked.stderr


HOOK = """
from sparft_plugin.hookspecs import hookimpl

@hookimpl
def {hook}():
    {body}
"""


@pytest.mark.parametrize(
    ("module", "warned"),
    [
        ("import no_such_module", "(broken) was not loaded: ModuleNotFoundError: No module named"),
        (HOOK.format(hook="register_curricula", body="import no_such_module"), "No module named"),
        (HOOK.format(hook="register_curriculum", body="return {}"), "register_curriculum"),
    ],
    ids=["fails to import", "fails in its hook", "has a hook that does not exist"],
)
def test_a_broken_package_is_a_warning_with_its_reason(example, tmp_path, module, warned):
    write_plugin(tmp_path, "broken", module)
    done = registered("curriculum", tmp_path, example)
    assert {"sparft", "uniform", "round_robin"} <= set(names(done))
    assert "broken_entry" in done.stderr
    assert warned in done.stderr
    assert "Traceback" not in done.stderr


def test_two_packages_with_the_same_name_are_an_error_that_names_both(example, tmp_path):
    hook = HOOK.format(hook="register_curricula", body="return {'round_robin': object}")
    write_plugin(tmp_path, "rival", hook)
    done = registered("curriculum", tmp_path, example)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith(
        "sparft_plugin.errors.SparftError: the curriculum 'round_robin' is registered by both "
    )
    assert "'example'" in error
    assert "'rival_entry'" in error
    assert error.endswith("uninstall one of them.")
