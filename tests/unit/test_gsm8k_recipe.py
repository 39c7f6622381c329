"""The GSM8K recipe: its parquet is verl's, and each run script composes to what its README says."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from verl.utils.reward_score import default_compute_score

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "gsm8k"


def recipe_module(name):
    """Import a script of this recipe and leave no trace: other recipes use the same file names."""
    own = [path.stem for path in (*RECIPE.glob("*.py"), *RECIPE.parent.glob("quickstart/*.py"))]
    kept = {stem: sys.modules.pop(stem) for stem in own if stem in sys.modules}
    sys.path.insert(0, str(RECIPE))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(RECIPE))
        for stem in own:
            sys.modules.pop(stem, None)
        sys.modules.update(kept)


prepare = recipe_module("prepare")
smoke = recipe_module("smoke_cpu")

RECORDS = [
    {"question": "How many legs have two cats?", "answer": "2*4=<<2*4=8>>8\n#### 8"},
    {"question": "How much is it?", "answer": "It is a lot.\n#### 1,234,000"},
    {"question": "How cold is it, in °C?", "answer": "Below.\n#### -3.5"},
]


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def run_prepare(folder, *more):
    """Run prepare.py on train.jsonl and test.jsonl of a folder."""
    jsonl = ["--train", str(folder / "train.jsonl"), "--test", str(folder / "test.jsonl")]
    code: int = prepare.main([*jsonl, "--out", str(folder / "out"), *more])
    return code


@pytest.fixture
def folder(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", RECORDS)
    write_jsonl(tmp_path / "test.jsonl", RECORDS[:1])
    return tmp_path


def test_rows_have_verls_schema_and_instruction(folder):
    assert run_prepare(folder) == 0
    rows = pq.read_table(folder / "out/train.parquet").to_pylist()
    assert [row["reward_model"]["ground_truth"] for row in rows] == ["8", "1234000", "-3.5"]
    assert rows[2] == {
        "data_source": "openai/gsm8k",
        "prompt": [
            {
                "role": "user",
                "content": "How cold is it, in °C? Let's think step by step and output the final "
                'answer after "####".',
            }
        ],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "-3.5"},
        "extra_info": {
            "split": "train",
            "index": 2,
            "answer": RECORDS[2]["answer"],
            "question": RECORDS[2]["question"],
        },
    }
    assert pq.read_table(folder / "out/test.parquet")["extra_info"][0]["split"].as_py() == "test"
    # verl's own reward pays the reference answer.
    for row in rows:
        answers = (row["extra_info"]["answer"], "no idea #### 7")
        truth = row["reward_model"]["ground_truth"]
        paid = [default_compute_score(row["data_source"], answer, truth) for answer in answers]
        assert paid == [1.0, 0.0]


def test_same_input_gives_the_same_bytes_and_existing_files_are_refused(folder, capsys):
    run_prepare(folder)
    first = (folder / "out/train.parquet").read_bytes()
    assert run_prepare(folder, "--overwrite") == 0
    assert (folder / "out/train.parquet").read_bytes() == first
    capsys.readouterr()
    (folder / "out/train.parquet").unlink()
    assert run_prepare(folder) == 2
    assert "test.parquet exists; give --overwrite to replace it." in capsys.readouterr().err
    assert [path.name for path in (folder / "out").iterdir()] == ["test.parquet"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "row 3 is no JSON object"),
        ('{"question": "a"}', "row 3, key 'answer': is no text"),
        ('{"question": " ", "answer": "#### 1"}', "row 3, key 'question': is no text"),
        ('{"question": "a", "answer": "1"}', "row 3, key 'answer': has no number after '####'"),
        ('{"question": "a", "answer": "#### one"}', "row 3, key 'answer': has no number after"),
    ],
)
def test_a_bad_line_is_one_sentence_with_file_and_row(folder, capsys, line, sentence):
    path = folder / "train.jsonl"
    path.write_text(path.read_text() + line + "\n" + json.dumps(RECORDS[0]) + "\n")
    assert run_prepare(folder) == 2
    error = capsys.readouterr().err
    assert f"{path}, {sentence}" in error
    assert error.count("\n") == 1
    assert not (folder / "out").exists()


def test_the_hub_gives_the_same_files_as_jsonl(folder, monkeypatch):
    splits = {"train": RECORDS, "test": RECORDS[:1]}

    def load(name, config, split):
        assert (name, config) == ("openai/gsm8k", "main")
        return datasets.Dataset.from_list(splits[split])

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert prepare.main(["--hub", "openai/gsm8k", "--out", str(folder / "hub")]) == 0
    run_prepare(folder)
    for name in ("train.parquet", "test.parquet"):
        assert (folder / "hub" / name).read_bytes() == (folder / "out" / name).read_bytes()


@pytest.mark.parametrize("more", [[], ["--hub", "x", "--train", "y"], ["--train", "y"]])
def test_input_is_either_the_hub_or_both_files(tmp_path, more):
    with pytest.raises(SystemExit) as leaving:
        prepare.main(["--out", str(tmp_path), *more])
    assert leaving.value.code == 2


def composed(script, folder, *more):
    """Return the config that a run script hands to verl, by ``--cfg job``."""
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "MODEL_PATH": "no/such-model",
        "DATA_DIR": "some/data",
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("OUT_DIR", None)
    done = subprocess.run(
        ["bash", str(RECIPE / script), *more, "--cfg", "job"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    config: dict[str, Any] = yaml.safe_load(done.stdout)
    return config


def test_both_methods_compose_to_the_recipe_and_the_sparft_section(tmp_path):
    config = composed("run_sparft_memory.sh", tmp_path, "trainer.total_training_steps=7")
    check_recipe(config, "sparft_memory")
    assert config["trainer"]["total_training_steps"] == 7
    section = config["sparft"]
    assert section["reduction"]["clusters"] * section["reduction"]["per_cluster"] == 100
    assert (section["curriculum"]["name"], section["memory"]["name"]) == ("sparft", "memory_r_plus")
    assert section["memory"]["neighbors"] == 1
    assert config["data"]["custom_cls"]["name"] == "CurriculumDataset"


def test_the_baseline_composes_to_the_same_recipe_and_the_others_differ_by_a_name(tmp_path):
    config = composed("run_grpo.sh", tmp_path)
    check_recipe(config, "grpo")
    assert "sparft" not in config
    assert config["data"]["custom_cls"]["name"] is None
    both = (RECIPE / "run_sparft_memory.sh").read_text()
    for name in ("sparft", "memory_r_plus"):
        script = (RECIPE / f"run_{name}.sh").read_text()
        assert script.splitlines()[2:] == both.replace("sparft_memory", name).splitlines()[2:]


def check_recipe(config, name):
    """The settings that all scripts share, as the README's table has them."""
    data, actor = config["data"], config["actor_rollout_ref"]["actor"]
    rollout, trainer = config["actor_rollout_ref"]["rollout"], config["trainer"]
    assert config["actor_rollout_ref"]["model"]["path"] == "no/such-model"
    assert config["algorithm"]["adv_estimator"] == "grpo"
    assert (data["train_files"], data["val_files"]) == (
        "some/data/train.parquet",
        "some/data/test.parquet",
    )
    assert (data["train_batch_size"], data["max_response_length"]) == (16, 200)
    assert (rollout["n"], rollout["temperature"]) == (16, 0.9)
    assert (actor["optim"]["lr"], actor["optim"]["betas"]) == (5e-6, [0.9, 0.99])
    assert (actor["optim"]["weight_decay"], actor["optim"]["clip_grad"]) == (0.1, 0.1)
    assert actor["optim"]["lr_scheduler_type"] == "cosine"
    assert (actor["use_kl_loss"], actor["kl_loss_coef"]) == (True, 0.04)
    assert (trainer["use_v1"], trainer["n_gpus_per_node"], trainer["total_epochs"]) == (True, 1, 1)
    assert trainer["default_local_dir"] == f"runs/gsm8k/{name}/checkpoints"


def test_the_smoke_script_is_the_gpu_script_with_overrides(tmp_path):
    config = composed("run_sparft_memory.sh", tmp_path, *smoke.overrides(6))
    assert config["trainer"]["device"] == "cpu"
    assert config["trainer"]["total_training_steps"] == 6
    assert config["data"]["train_batch_size"] == 8
    assert config["sparft"]["memory"]["warmup_steps"] == 2
    assert config["sparft"]["reduction"]["encoder"] == "all-MiniLM-L6-v2"
    rollout = config["actor_rollout_ref"]["rollout"]
    longest = config["data"]["max_prompt_length"] + config["data"]["max_response_length"]
    assert longest <= rollout["max_model_len"] <= rollout["max_num_batched_tokens"]
    assert longest <= config["actor_rollout_ref"]["actor"]["ppo_max_token_len_per_gpu"]


def test_the_smoke_model_differs_in_its_length_only(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "config.json").write_text('{"max_position_embeddings": 160, "hidden_size": 128}')
    (source / "tokenizer_config.json").write_text('{"model_max_length": 160}')
    (source / "model.safetensors").write_bytes(b"weights")
    smoke.lengthened_model(source, target)
    room = smoke.MODEL_TOKENS
    assert json.loads((target / "config.json").read_text()) == {
        "max_position_embeddings": room,
        "hidden_size": 128,
    }
    assert json.loads((target / "tokenizer_config.json").read_text()) == {"model_max_length": room}
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert "160" in (source / "config.json").read_text()


def test_required_verl_is_the_constraint_the_tests_run_with():
    lines = (RECIPE / "REQUIRED_VERL.txt").read_text().splitlines()
    required = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    constraints = (RECIPE.parents[1] / "constraints" / "cpu.txt").read_text().splitlines()
    assert required["MODE"] == "pinned_tag"
    assert f"verl=={required['TAG'].removeprefix('v')}" in constraints
    for pin in required["PIP_INSTALL"].split()[2:]:
        assert pin in constraints
