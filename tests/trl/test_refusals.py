"""What is refused before or while TRL trains, each with its mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset, IterableDataset
from safetensors.torch import load_file, save_file

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.trl import with_sparft
from sparft_plugin.hosts.trl.rows import response_text
from sparft_plugin.training.state import FILE, read_state
from tests.trl.tiny import (
    BOTH,
    NAMED,
    Rewards,
    history,
    needs_grpo_like_rloo,
    rows,
    trainer,
)

CURRICULUM = {"curriculum": {"name": "sparft"}}


def twice(completions: Any, **columns: Any) -> list[float]:
    return [2.0 * (len(text) % 2) for text in completions]


OPTIONS = [
    ({"sparft": "sparft_memry"}, "unknown sparft name 'sparft_memry'; did you mean"),
    ({"sparft": "no.yaml"}, "no.yaml does not exist; check the path"),
    (
        {"sparft": {"defaults": "spart"}},
        "unknown default of sparft= 'spart'; did you mean",
    ),
    (
        {"sparft": {"curriculm": {}}},
        "option of sparft 'curriculm'; did you mean 'curriculum'",
    ),
    (
        {"sparft": {"curriculum": {"name": "sprft"}}},
        "unknown curriculum 'sprft'; did you mean",
    ),
    ({"sparft": {}}, "neither a curriculum nor a memory"),
    (
        {"sparft": {**CURRICULUM, "group_filter": {"name": "mixed_only"}}},
        "group_filter=mixed_only needs a trainer that generates other groups in place",
    ),
    (
        {"sparft": {**CURRICULUM, "wraps": {"dataset": {"path": "x"}}}},
        "sparft.wraps names classes of verl",
    ),
    ({"sparft": {"defaults": "memory_r", "reduction": {}}}, "sparft.reduction needs a curriculum"),
    (
        {"accuracy": "leters"},
        "function of accuracy= 'leters'; did you mean 'letters'",
    ),
    (
        {"sparft": {**CURRICULUM, "accuracy": "key:other"}},
        "unknown reward function of accuracy= 'other'; .* Known: letters",
    ),
    (
        {"sparft": {**CURRICULUM, "accuracy": "key:letters"}, "accuracy": "letters"},
        "both name a reward function",
    ),
]


@pytest.mark.parametrize(("given", "sentence"), OPTIONS, ids=[text[:30] for _, text in OPTIONS])
def test_options(given: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SparftError, match=sentence.replace("(", "\\(")):
        trainer(tmp_path, **given)


def test_a_stream_of_rows(tmp_path: Path) -> None:
    # trl 0.19 refuses it before it is ours to.
    with pytest.raises((SparftError, NotImplementedError), match="Iterable ?[dD]ataset"):
        trainer(tmp_path, data=IterableDataset.from_generator(lambda: iter(rows())))


@pytest.mark.skipif(
    not hasattr(trl.GRPOConfig, "multi_objective_aggregation"),
    reason="this trl has no GDPO; a later one would run it",
)
def test_gdpo(tmp_path: Path) -> None:
    with pytest.raises(SparftError, match=r"normalize_then_sum' \(GDPO\) scales each reward"):
        trainer(tmp_path, multi_objective_aggregation="normalize_then_sum")


def test_trainers_that_are_not_online() -> None:
    with pytest.raises(SparftError, match="DPOTrainer of trl .* has no such method for _gen"):
        with_sparft(trl.DPOTrainer)


def test_a_later_rename_is_named() -> None:
    class Later(trl.GRPOTrainer):  # type: ignore[misc]
        def _calculate_rewards(self, inputs: Any, rollouts: Any) -> None: ...

    with pytest.raises(SparftError, match=r"has \(inputs, rollouts\) for _calculate_rewards\(inp"):
        with_sparft(Later)


def test_a_reward_that_is_no_accuracy_and_how_it_becomes_one(tmp_path: Path) -> None:
    settings = {"max_steps": 1, "save_strategy": "no"}
    with pytest.raises(SparftError, match=r"'twice' gave 2, which is no accuracy .* \(of twice\)"):
        trainer(tmp_path, twice, sparft="uniform", **settings).train()
    rule = {"defaults": "uniform", "accuracy": "score>=1.5"}
    made = trainer(tmp_path, twice, sparft=rule, **settings)
    made.train()
    told = history(made)[0]
    assert told["sparft/pass_rate"] == told["sparft/reward/outcome"] / 2


def test_accuracy_may_be_any_of_several_functions(tmp_path: Path) -> None:
    letters = Rewards()
    made = trainer(
        tmp_path, [twice, letters], sparft="uniform", accuracy="letters", max_steps=1,
        save_strategy="no", reward_weights=[0.5, 1.0],
    )  # fmt: skip
    letters.trainer = made
    made.train()
    told = history(made)[0]
    assert told["sparft/pass_rate"] == pytest.approx(told["rewards/letters/mean"])
    assert told["sparft/reward/outcome"] == pytest.approx(told["reward"])


def test_too_many_groups_without_a_reward(tmp_path: Path) -> None:
    made = trainer(tmp_path, Rewards(lost="How"), sparft="uniform", max_steps=1)
    with pytest.raises(SparftError, match="3 of the 3 groups of the last 1 steps lost a rollout"):
        made.train()


BAD_ROWS = [
    ({"prompt": ["", "b"]}, "train_dataset, row 0, key 'prompt': no text"),
    ({"question": ["a", "b"]}, "train_dataset has no column 'prompt'"),
    ({"prompt": ["a", "a"], "answer": ["1", "2"]}, "row 1, .* with another ground truth"),
]


@pytest.mark.parametrize(("columns", "sentence"), BAD_ROWS)
def test_rows(columns: dict[str, list[str]], sentence: str, tmp_path: Path) -> None:
    made = trainer(tmp_path, sparft="uniform", data=Dataset.from_dict(columns))
    with pytest.raises(SparftError, match=sentence):
        made.train()


def test_checkpoints_that_hold_no_state_or_another(tmp_path: Path) -> None:
    stock = trainer(tmp_path, sparft=None, max_steps=2)
    stock.train()
    with pytest.raises(SparftError, match="checkpoint-2 holds no sparft.safetensors"):
        trainer(tmp_path).train(resume_from_checkpoint=True)
    trainer(tmp_path, max_steps=2).train()
    with pytest.raises(SparftError, match="written with sparft.memory, the config differs"):
        trainer(tmp_path, sparft="uniform").train(resume_from_checkpoint=True)


def test_a_damaged_state_file(tmp_path: Path) -> None:
    trainer(tmp_path, max_steps=2).train()
    folder = tmp_path / "checkpoint-2"
    path = folder / FILE
    assert {part.dtype for part in load_file(path).values()} == {torch.uint8}
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SparftError, match="sparft.safetensors cannot be read .SafetensorError"):
        read_state(folder)
    save_file({}, path)
    with pytest.raises(SparftError, match="cannot be read"):
        read_state(folder)


def test_sections_from_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "defaults: [sparft_memory, _self_]\nsparft:\n  seed: 7\n  reduction: {clusters: 3}\n"
        "  memory: {warmup_steps: 2}\n"
    )
    made = trainer(tmp_path, sparft=file)
    assert made._options.seed == made._options.reduction.seed == 7
    assert made._options.reduction.clusters == 3
    assert made._options.memory["warmup_steps"] == 2
    file.write_text("- 1")
    with pytest.raises(SparftError, match="holds no section of options"):
        trainer(tmp_path, sparft=str(file))
    file.write_text("a: [")
    with pytest.raises(SparftError, match="cannot be read as YAML"):
        trainer(tmp_path, sparft=str(file))


def test_responses_are_what_the_assistant_says() -> None:
    spoken = [
        {"role": "assistant", "content": "I look it up.", "tool_calls": []},
        {"role": "tool", "content": "42"},
        {"role": "assistant", "content": [{"type": "text", "text": "It is 42."}]},
        {"role": "assistant", "content": None},
    ]
    assert response_text("plain") == "plain"
    assert response_text(spoken) == "I look it up.\nIt is 42.\n"


@needs_grpo_like_rloo
def test_both_trainers_are_derived() -> None:
    assert [with_sparft(cls).__name__ for cls, _ in NAMED.values()] == [
        "SparftGRPOTrainer",
        "SparftRLOOTrainer",
    ]
    assert BOTH["defaults"] == "sparft_memory"
