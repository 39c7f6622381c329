"""What every registered intrinsic reward must do, whatever it computes."""

from __future__ import annotations

import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.testing.intrinsic_rewards import INTRINSIC_CHECKS, Subject

NAMES = sorted(registered("intrinsic reward"))
VARIANTS = [
    {"normalize": "per_query"},
    {"normalize": "per_query", "query_capacity": 3},
    {"neighbors": 3, "query_capacity": 4, "response_capacity": 5, "window": 7},
    {"storage": "float16", "stored": "reasoning"},
    {"compat": "released"},
]
# Response by response, what came before counts, in the step too; and equal values pay a distance.
UNLIKE_THE_RELEASE = {"groups_do_not_see_their_neighbours", "gives_one_finite_value_per_rollout"}


@pytest.mark.parametrize("check", INTRINSIC_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    check(Subject(lookup("intrinsic reward", name)))


@pytest.mark.parametrize(
    ("options", "check"),
    [
        pytest.param(options, check, id=f"{'-'.join(map(str, options.values()))}-{check.__name__}")
        for options in VARIANTS
        for check in INTRINSIC_CHECKS
        if "compat" not in options or check.__name__ not in UNLIKE_THE_RELEASE
    ],
)
@pytest.mark.parametrize("name", ["memory_r", "memory_r_plus"])
def test_contract_with_options(name, options, check):
    check(Subject(lookup("intrinsic reward", name), options))


@pytest.mark.parametrize("name", NAMES)
def test_a_method_carries_its_registered_name_and_refuses_an_unknown_option(name):
    assert lookup("intrinsic reward", name).name == name
    with pytest.raises(SparftError, match="'neighbours'"):
        build("intrinsic reward", name, {"encoder": "matrix", "neighbours": 1})
