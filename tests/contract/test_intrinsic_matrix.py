"""What every registered intrinsic reward must do, whatever it computes."""

from __future__ import annotations

import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.testing.intrinsic_rewards import INTRINSIC_CHECKS, Subject

NAMES = sorted(registered("intrinsic reward"))


def test_the_built_in_methods_are_registered():
    assert {"memory_r", "memory_r_plus"} <= set(NAMES)


@pytest.mark.parametrize("check", INTRINSIC_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    check(Subject(lookup("intrinsic reward", name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_method_carries_its_registered_name(name):
    assert lookup("intrinsic reward", name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_refused_by_name(name):
    with pytest.raises(SparftError, match="'neighbours'"):
        build("intrinsic reward", name, {"encoder": "matrix", "neighbours": 1})
