"""What every registered curriculum must do, whatever its rule is, alone and in all wrappers."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from sparft_plugin.curriculum import Curriculum
from sparft_plugin.curriculum.wrappers.wrap import wrap
from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.testing import NEW_PROMPTS, PROMPTS
from sparft_plugin.testing.curricula import CURRICULUM_CHECKS, Subject, outcome

NAMES = sorted(registered("curriculum"))
FOLDER = tempfile.TemporaryDirectory()


def prompt_file(*names: str) -> str:
    """JSON lines with these numbers for every prompt of the checks."""
    path = Path(FOLDER.name) / "-".join(names)
    rows = []
    for prompt in (*PROMPTS, *NEW_PROMPTS):
        numbers = np.random.default_rng(zlib.crc32(prompt.id.encode())).random(len(names))
        rows.append({"id": prompt.id, **dict(zip(names, numbers, strict=True))})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


# What a method cannot do without, or does more with.
OPTIONS = {
    "bots": {"reference": prompt_file("weak", "strong")},
    "gain_rl": {"angles": prompt_file("angle")},
}
# Tight, so that both wrappers act within the few picks of a check.
WRAPPERS = {"retest": {"after": 1, "share": 0.2}, "share_floor": {"floor": 0.25, "window": 2}}


def alone(name: str) -> Subject:
    return Subject(lookup("curriculum", name), OPTIONS.get(name, {}))


def wrapped(name: str, *wanted: str) -> Subject:
    def factory() -> Curriculum:
        inner = build("curriculum", name, OPTIONS.get(name))
        return wrap(inner, {wrapper: WRAPPERS[wrapper] for wrapper in wanted})

    factory.__name__ = " around ".join([*wanted[::-1], name])
    return Subject(factory)


SUBJECTS = {name: alone(name) for name in NAMES}
SUBJECTS |= {f"{name}-in-wrappers": wrapped(name, *WRAPPERS) for name in NAMES}
SUBJECTS |= {f"uniform-in-{wrapper}": wrapped("uniform", wrapper) for wrapper in WRAPPERS}


def test_the_built_in_methods_are_registered():
    assert {"sparft", "uniform"} <= set(NAMES)


@pytest.mark.parametrize("check", CURRICULUM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SUBJECTS)
def test_contract(name, check):
    check(SUBJECTS[name])


@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ_and_only_arms_with_prompts_are_drawn(name):
    runs = [[pick.prompt for pick in alone(name).started(s).select(60)] for s in range(5)]
    assert len({tuple(prompts) for prompts in runs}) == 5
    assert {prompt.arm for prompts in runs for prompt in prompts} <= {0, 1, 3}


@pytest.mark.parametrize("name", NAMES)
def test_another_method_s_state_and_an_unknown_option_are_refused_by_name(name):
    with pytest.raises(SparftError, match=f"option of the curriculum '{name}' 'nonsense'"):
        build("curriculum", name, {"nonsense": 1})
    mine = lookup("curriculum", name).__name__
    other = NAMES[NAMES.index(name) - 1]
    for subject, written in [
        (alone(other), lookup("curriculum", other).__name__),
        (wrapped(name, "retest"), f"Retest({mine})"),
    ]:
        with pytest.raises(SparftError) as refused:
            alone(name).started().load_state_dict(subject.lived().state_dict())
        assert f"written by {written}, the config asks for {mine};" in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_advantages_matter_only_to_a_method_that_says_it_compares_a_group(name):
    one, other = alone(name).started(), alone(name).started()
    other.select(8)
    for pick in one.select(8):
        told = outcome(pick)
        one.observe([told])
        other.observe([dataclasses.replace(told, advantages=told.advantages + 1)])
    assert (one.state_dict() == other.state_dict()) is not one.needs_group
