"""Names stand for classes; wrong names and options are refused with the nearest right one."""

from __future__ import annotations

import re

import pytest

from sparft_plugin import builtin, plugins
from sparft_plugin.curriculum.sparft import SparftCurriculum
from sparft_plugin.errors import SparftError, unknown_name


@pytest.mark.parametrize(
    ("kind", "built_in"),
    [
        ("embedder", {"sentence_transformers"}),
        ("selector", {"farthest_point", "random"}),
        ("curriculum", {"sparft", "uniform"}),
        ("intrinsic reward", {"memory_r", "memory_r_plus"}),
        ("group filter", set()),
    ],
)
def test_the_built_in_classes_are_registered_by_kind(kind, built_in):
    assert built_in <= set(plugins.registered(kind))


def test_every_kind_has_a_hook_with_a_docstring():
    from sparft_plugin import hookspecs

    hooks = {name for name in vars(hookspecs) if name.startswith("register_")}
    assert set(plugins.KINDS.values()) == hooks
    assert all(getattr(hookspecs, name).__doc__ for name in hooks)


def test_the_built_in_module_joins_by_the_same_entry_points_as_a_strangers():
    assert plugins.manager().get_name(builtin) == "builtin"


def test_an_unknown_name_is_refused_with_the_nearest_and_all_others():
    with pytest.raises(SparftError) as refusal:
        plugins.lookup("curriculum", "spartf")
    assert plugins.lookup("curriculum", "sparft") is SparftCurriculum
    text = str(refusal.value)
    assert text.startswith("unknown curriculum 'spartf'; did you mean 'sparft'? Known: ")
    assert "sparft, uniform" in text


def test_a_package_that_is_on_the_path_but_not_installed_is_told_so(monkeypatch):
    monkeypatch.setattr(plugins, "registered", lambda kind: {})
    with pytest.raises(SparftError, match="no curriculum is registered, not even ours: "):
        plugins.lookup("curriculum", "sparft")


def test_options_reach_the_fields_of_the_class_and_stay_in_the_callers_mapping():
    options = {"sigma": 0.25, "draw": "step"}
    curriculum = plugins.build("curriculum", "sparft", options)
    assert (curriculum.sigma, curriculum.draw) == (0.25, "step")
    assert options == {"sigma": 0.25, "draw": "step"}
    assert plugins.build("curriculum", "sparft").sigma == 1.0


def test_an_unknown_option_is_refused_with_the_nearest():
    expected = (
        "unknown option of the curriculum 'sparft' 'sigmma'; did you mean 'sigma'? "
        "Known: draw, sigma."
    )
    with pytest.raises(SparftError, match=f"^{re.escape(expected)}$"):
        plugins.build("curriculum", "sparft", {"sigmma": 1.0})


def test_internal_state_is_no_option_and_one_that_a_class_needs_is_asked_for_by_name():
    with pytest.raises(SparftError, match="'next_pick_id'"):
        plugins.build("curriculum", "sparft", {"next_pick_id": 7})
    with pytest.raises(SparftError, match="encoder"):
        plugins.build("intrinsic reward", "memory_r")


def test_an_unknown_name_offers_only_what_is_near():
    told = [str(unknown_name("knob", n, k)) for n, k in (("zzz", ["tau", "sigma"]), ("zzz", []))]
    assert told == ["unknown knob 'zzz'. Known: sigma, tau.", "unknown knob 'zzz'. Known: none."]
