"""The memory's side of a run: prompts encoded once, groups handed over in order."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
import torch

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Prompt, PromptPool
from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.memory_r_plus import MemoryRPlus
from sparft_plugin.testing.intrinsic_rewards import saved
from sparft_plugin.training import remembering
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.metrics import PartTimer
from sparft_plugin.training.remembering import Remembering
from sparft_plugin.training.run import TrainingRun

TEXTS = {"p": "one and two", "q": "three", "r": "none", "broken": "four"}


class Letters:
    """An encoder that counts letters, and notes what it was asked."""

    identity = "letters@1"
    reads = 5

    def __init__(self):
        self.asked: list[str] = []
        self.gate = Event()
        self.gate.set()

    def encode(self, texts):
        assert self.gate.wait(10)
        if "four" in texts:
            raise SparftError("the encoder letters cannot be loaded.")
        self.asked.extend(texts)
        return np.array([[text.count(c) for c in "eno"] for text in texts], np.float32)


@pytest.fixture
def letters(monkeypatch):
    made = Letters()

    def memory_encoder(model, options):
        assert (model, options) == ("letters", {"precision": "bfloat16"})
        return made

    monkeypatch.setattr(remembering, "memory_encoder", memory_encoder)
    return made


def memory(encoder="letters", **options):
    return MemoryRPlus(encoder, warmup_steps=0, **options)


def run(**options):
    return Remembering(memory(**options), TEXTS.__getitem__, PartTimer(), {"precision": "bfloat16"})


def group(prompt, seed):
    rng = np.random.default_rng(seed)
    accuracies = rng.integers(0, 2, 3).astype(np.float64)
    return FinishedGroup(
        uid=f"{prompt}{seed}",
        tag={"id": prompt, "arm": 0, "difficulty": None, "pick": seed},
        outputs=((0,), (1,), (2,)),
        rewards=accuracies,
        accuracies=accuracies,
        responses=rng.standard_normal((3, 3)).astype(np.float32),
        model_version=0,
    )


def memory_group(finished):
    assert finished.responses is not None
    (query,) = Letters().encode([TEXTS[finished.prompt_id]])
    return MemoryGroup(finished.prompt_id, query, finished.responses, finished.accuracies)


def test_prompts_are_encoded_while_the_rollouts_are_generated(letters):
    ours = run()
    letters.gate.clear()
    ours.encode_queries(["p", "q"])
    ours.encode_queries(["q", "r"])
    letters.gate.set()
    ours.queries.wait(["p", "q", "r"])
    letters.gate.clear()
    ours.score_and_write([group("p", 1), group("r", 2)], [])
    assert ours.timer.take()["encode_queries"] < 50
    assert sorted(letters.asked) == sorted(["one and two", "three", "none"])


def test_a_run_begins_to_encode_the_prompts_that_it_picks(letters):
    options = {
        "curriculum": {"name": "uniform"},
        "memory": {"name": "memory_r", "encoder": "letters"},
        "memory_encoder": {"precision": "bfloat16"},
    }
    pool = PromptPool.of([Prompt("p"), Prompt("q")])
    trained = TrainingRun(SparftConfig.from_mapping(options), pool, TEXTS.__getitem__)
    assert trained.remembering is not None
    picked = {pick.prompt.id for pick in trained.select(2)}
    assert {prompt for prompt in ("p", "q", "r") if prompt in trained.remembering.queries} == picked


def test_what_a_prompt_is_encoded_with_changes_no_bit_of_the_memory(letters):
    ahead, late = run(), run()
    for prompt in ("r", "q", "p"):
        ahead.encode_queries([prompt])
    for ours in (ahead, late):
        ours.score_and_write([group("p", 1), group("q", 2)], [group("r", 3)])
    assert saved(ahead.memory) == saved(late.memory)


def test_a_fault_of_the_encoder_in_the_thread_stops_the_run(letters):
    ours = run()
    ours.encode_queries(["broken"])
    with pytest.raises(SparftError, match="the encoder letters cannot be loaded"):
        ours.score_and_write([group("broken", 1)], [])


@pytest.mark.parametrize(
    ("stored", "tokens", "said"),
    [("response", 6, 1), ("response", 5, 0), ("reasoning", 6, 1), ("tail", 6, 0)],
)
def test_a_run_whose_responses_are_mostly_longer_than_is_read_is_told_once(
    letters, caplog, stored, tokens, said
):
    ours = run(stored=stored)
    for _ in range(2):
        lengths = np.array([1, tokens, tokens])
        ours.score_and_write([replace(group("p", 1), tokens=lengths)], [])
    warnings = [r.getMessage() for r in caplog.records if "most responses" in r.getMessage()]
    assert len(warnings) == said
    assert all("longer than the 5 tokens" in line for line in warnings)


def test_all_groups_are_written_and_the_trained_ones_scored_before_that(letters):
    # The saved memory names the weights, not only the model.
    ours, alone = run(), memory("letters@1")
    # A step without groups is none, and one may have none to train on.
    assert ours.score_and_write([], []) == []
    assert saved(ours.memory) == saved(alone)
    assert ours.score_and_write([], [group("p", 1)]) == []
    alone.write([memory_group(group("p", 1))])
    for step in range(1, 4):
        trained = [group("p", 10 * step), group("q", 10 * step + 1)]
        cleared = [group("r", 10 * step + 2)]
        terms = ours.score_and_write(trained, cleared)
        told = [memory_group(g) for g in (*trained, *cleared)]
        for our, expected in zip(terms, alone.score(told[:2]), strict=True):
            np.testing.assert_array_equal(our.total, expected.total)
        alone.write(told)
    assert saved(ours.memory) == saved(alone)
    assert ours.memory.metrics() == alone.metrics()
    # Each prompt was encoded once.
    assert letters.asked == ["one and two", "three", "none"]


def test_the_text_of_a_prompt_that_left_the_data_can_be_told(letters):
    ours = run()
    assert not ours.lacks_text("p")
    assert ours.lacks_text("gone")
    ours.add_text("gone", "no one")
    assert not ours.lacks_text("gone")
    ours.encode_queries(["gone"])
    assert ours.queries.wait(["gone"])["gone"].tolist() == [1, 2, 2]


def test_the_state_is_saved_as_it_lies_in_memory_and_without_objects(letters, tmp_path):
    """Bytes would be written at one and a half times their size, and not at all above 2.86 GB."""
    ours, copy, file = run(), run(), tmp_path / "data.pt"
    rng = np.random.default_rng(0)
    ours.memory.write(
        [
            MemoryGroup(str(i), np.ones(512), rng.standard_normal((100, 512)), np.ones(100))
            for i in range(20)
        ]
    )
    state = ours.state_dict()
    held = ours.memory.exploit.store.arrays()["responses#0"]
    assert state["exploit.responses#0"].data_ptr() == held.ctypes.data
    torch.save(state, file)
    assert held.nbytes < file.stat().st_size < 1.05 * held.nbytes
    copy.load_state_dict(torch.load(file, weights_only=True))
    assert saved(copy.memory) == saved(ours.memory)
