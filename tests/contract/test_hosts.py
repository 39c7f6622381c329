"""Every host gives the same picks, terms, metrics and state for the same outcomes.

A `Script` says what is answered, `direct` drives a `TrainingRun` with it by hand, and each host is
driven with it through its own adapter: verl's over its own classes, TRL's and slime's over
stand-ins that follow the published signatures.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from sparft_plugin.errors import SparftError
from tests.contract.by_hand import Answer, Record, assert_alike, drive
from tests.contract.hosts.script import (
    LIMIT,
    PROMPTS,
    ROLLOUTS,
    SECTIONS,
    STEPS,
    Script,
    direct,
    score,
    section,
    text_of,
)
from tests.contract.hosts.slime import SampleStandIn, SourceStandIn

WITH_VERL = pytest.mark.skipif(
    importlib.util.find_spec("verl") is None,
    reason="verl is not installed here; make contract runs it in the environment that has it",
)
HOSTS = [
    pytest.param("trl", "trl", True, id="trl"),
    pytest.param("verl", "v1", True, id="verl v1", marks=WITH_VERL),
    # verl's legacy trainer stops where a rollout is lost.
    pytest.param("verl", "legacy", False, id="verl legacy", marks=WITH_VERL),
]
expected = cache(direct)


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize(("module", "trainer", "loses"), HOSTS)
def test_the_same_outcomes_come_to_the_same(
    module: str,
    trainer: str,
    loses: bool,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = getattr(importlib.import_module(f"tests.contract.hosts.{module}"), trainer)
    assert_alike(host(name, tmp_path, monkeypatch), expected(name, loses))


@pytest.fixture
def slime_hooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("slime.rollout.data_source")
    module.RolloutDataSourceWithBuffer = SourceStandIn  # type: ignore[attr-defined]
    for name in ("slime", "slime.rollout"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in [name for name in sys.modules if name.startswith("sparft_plugin.hosts.slime")]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("sparft_plugin.hosts.slime")


@pytest.mark.parametrize("name", ["curriculum", "both"])
def test_slime_learns_and_saves(
    name: str, slime_hooks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "section.yaml"
    file.write_text(yaml.safe_dump(section(name)))
    monkeypatch.setenv("SPARFT", str(file))
    args = SimpleNamespace(
        n_samples_per_prompt=ROLLOUTS, reward_key=None, rollout_max_response_len=LIMIT,
        save=str(tmp_path), load=str(tmp_path), num_rollout=STEPS,
    )  # fmt: skip
    source, script, record = slime_hooks.PickSource(args), Script(), Record()
    for _ in range(STEPS):
        groups = source.get_samples(PROMPTS)
        before = []
        for group in groups:
            for sample, said in zip(group, script.answers(text_of(vars(group[0]))), strict=True):
                sample.response, sample.response_length = said, len(said.split())
                sample.reward = score(said)
                sample.status.value = "aborted" if sample.reward is None else "completed"
            before.append([sample.reward for sample in group])
        slime_hooks.feedback(args, groups, source.get_samples)
        terms = {}
        for group, rewards in zip(groups, before, strict=True):
            if name == "both" and None not in rewards:
                after = [sample.reward for sample in group]
                paid = [a - b for a, b in zip(after, rewards, strict=True)]
                terms[group[0].metadata["sparft"]["id"]] = paid
        tags = [group[0].metadata["sparft"] for group in groups]
        metrics = {k: v for k, v in args.sparft_metrics.items() if k != "sparft/feedback/late"}
        record.add([(tag["pick"], tag["id"]) for tag in tags], terms, metrics)
    said = Script()

    def answers(text: str) -> list[Answer]:
        return [Answer(one, len(one.split()), score(one)) for one in said.answers(text)]

    pool = slime_hooks.PickSource(args).pool
    by_hand = drive(
        section(name), lambda _: pool, lambda run, _: run.select(PROMPTS), answers, STEPS, LIMIT
    )
    assert_alike(record.close(source.run), by_hand)
    told = source.run.curriculum.metrics()
    assert told["observed"] + told["expired"] == STEPS * PROMPTS
    source.save(3)
    again = slime_hooks.PickSource(args)
    again.load(3)
    assert again.run.state_dict()["curriculum"] == source.run.state_dict()["curriculum"]
    picks = [g[0].metadata["sparft"] for g in source.get_samples(PROMPTS)]
    assert [g[0].metadata["sparft"] for g in again.get_samples(PROMPTS)] == picks
    # What a partial rollout puts back comes out first, with its pick.
    again.buffer.append([SampleStandIn("", "") for _ in range(ROLLOUTS)])
    again.buffer[0][0].metadata = {"sparft": picks[0]}
    assert again.waiting() == {picks[0]["pick"]}
    with pytest.raises(SparftError, match="give --data-source-path"):
        slime_hooks.feedback(args, groups, lambda n: [])
