"""What every registered curriculum must do, whatever its rule is, alone and in wrappers."""

from __future__ import annotations

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
from sparft_plugin.testing.curricula import CURRICULUM_CHECKS, Subject

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


def lived(subject: Subject) -> dict:
    return subject.lived().state_dict()


def test_the_built_in_methods_are_registered():
    assert {"sparft", "uniform"} <= set(NAMES)


@pytest.mark.parametrize("check", CURRICULUM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
class TestContract:
    def test_alone(self, name, check):
        check(alone(name))

    def test_in_wrappers(self, name, check):
        check(wrapped(name, "retest", "share_floor"))


@pytest.mark.parametrize("check", CURRICULUM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("wrapper", sorted(WRAPPERS))
def test_each_wrapper_alone(wrapper, check):
    check(wrapped("uniform", wrapper))


@pytest.mark.parametrize("name", NAMES)
class TestRegistered:
    def test_an_unknown_option_is_refused_by_name(self, name):
        with pytest.raises(SparftError, match=f"option of the curriculum '{name}' 'nonsense'"):
            build("curriculum", name, {"nonsense": 1})

    def test_different_seeds_give_different_picks(self, name):
        subject = alone(name)
        runs = {tuple(pick.prompt.id for pick in subject.make(s).select(40)) for s in range(5)}
        assert len(runs) == 5

    def test_only_arms_with_prompts_are_drawn(self, name):
        assert {pick.prompt.arm for pick in alone(name).make().select(300)} <= {0, 1, 3}

    def test_the_state_of_every_other_method_is_refused_by_name(self, name):
        mine = lookup("curriculum", name).__name__
        curriculum = alone(name).make()
        states = {
            lookup("curriculum", other).__name__: lived(alone(other))
            for other in set(NAMES) - {name}
        }
        states[f"Retest({mine})"] = lived(wrapped(name, "retest"))
        for written, state in states.items():
            with pytest.raises(SparftError) as refused:
                curriculum.load_state_dict(state)
            assert f"written by {written}, the config asks for {mine};" in str(refused.value)
