"""What every registered group filter must do, whatever it keeps."""

from __future__ import annotations

import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.testing import check_group_filter

NAMES = sorted(registered("group filter"))


def test_the_built_in_filters_are_registered():
    assert {"band", "mixed_only"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    check_group_filter(lookup("group filter", name))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_refused_by_name(name):
    with pytest.raises(SparftError, match=f"option of the group filter '{name}' 'nonsense'"):
        build("group filter", name, {"nonsense": 1})
