"""Options out of their range are named as the user writes them, and so are files of numbers."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.curriculum.options import check_file, read_numbers
from sparft_plugin.curriculum.wrappers.wrap import wrap
from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build
from tests.unit.prompt_data import write_lines

NAN, INF = float("nan"), float("inf")
REFUSED = {
    "adarft": {"eta": [0], "alpha": [-1], "beta": [1.5], "start_difficulty": [NAN], "rest": [2]},
    "alp_gmm": {
        "random_ratio": [0, 1.5],
        "refit_every": [1, 2.5],
        "max_components": [0],
        "criterion": ["AIC"],
    },
    "bots": {
        "target": [2],
        "lam": [-0.1],
        "rho": [1.1],
        "m": [0],
        "momentum": [2],
        "reference": ["none"],
    },
    "cyclical": {"start_share": [0], "end_share": [0.1], "multiplier": [0, 1], "floor": [0, 2]},
    "dads": {"smoothing": [-0.1, 1.1], "target": [0, 2], "temperature": [0, INF]},
    "dump": {"window": [0, 1.5, True], "temperature": [0, "x"]},
    "gain_rl": {"n": [0], "sigma": [0], "a": [-1], "b": [2], "corpus": [0]},
    "learnability": {
        "group_size": [1, 2.5, True],
        "discount": [0, 1.01],
        "floor": [-0.1, NAN],
        "prior_strength": [0, "strong"],
        "candidates": [0],
    },
    "mopps": {
        "target": [2],
        "decay": [-0.1],
        "prior_right": [0],
        "prior_wrong": ["a"],
        "candidates": [0, True],
    },
    "ordered": {
        "stages": [0],
        "advance": ["never"],
        "stage_steps": [1.5],
        "threshold": [2],
        "window": [0],
    },
    "pcl": {"tau": [2], "buffer": [0], "ridge": [0]},
    "sec": {
        "learning_rate": [0, 1.1, "fast"],
        "temperature": [0, NAN, True],
        "unsampled": ["forget"],
        "draw": ["batch"],
    },
    "sparft": {"sigma": [0, -1.0, INF, NAN, "wide", True], "draw": ["batch"]},
}
WRAPPERS = {
    "share_floor.floor": [-0.1, True, NAN],
    "share_floor.window": [-1],
    "retest.after": [0, 128, 1.5],
    "retest.share": [1.1, "a"],
}


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        (name, option, value)
        for name, options in REFUSED.items()
        for option, values in options.items()
        for value in values
    ],
)
def test_an_option_out_of_its_range_is_refused_by_name(name, option, value, tmp_path):
    (tmp_path / "angles").touch()
    needed = {"angles": str(tmp_path / "angles")} if name == "gain_rl" else {}
    with pytest.raises(SparftError, match=rf"^sparft\.curriculum\.{option}\b.* must be"):
        build("curriculum", name, {**needed, option: value})


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option in WRAPPERS for value in WRAPPERS[option]]
)
def test_a_wrapper_s_option_out_of_its_range_is_refused_by_name(option, value):
    wrapper, name = option.split(".")
    section = {"floor": 0.1, name: value} if wrapper == "share_floor" else {name: value}
    with pytest.raises(SparftError, match=rf"^sparft\.curriculum\.{option}\b.* must be"):
        wrap(build("curriculum", "uniform"), {wrapper: section})


IDS = np.array([b"a", b"b", b"c"])


def test_numbers_stand_where_their_prompts_do(tmp_path):
    lines = [
        {"id": "c", "x": 3, "y": 30},
        {"id": "zz", "x": 9, "y": 9},
        {"id": "a", "x": 1, "y": 2},
    ]
    found = read_numbers(write_lines(tmp_path / "f", *lines), ("x", "y"), IDS)
    np.testing.assert_array_equal(found, [[1, 2], [np.nan, np.nan], [3, 30]])


def test_a_header_a_prompt_too_long_and_a_cut_off_line_are_passed_over(tmp_path):
    path = tmp_path / "f"
    write_lines(path, {"format": "any"}, {"id": "a", "too_long": 9}, {"id": "b", "x": 1})
    path.write_text(path.read_text() + '{"id": "c", "x"')
    found = read_numbers(path, ("x",), IDS)[:, 0]
    np.testing.assert_array_equal(found, [np.nan, 1, np.nan])


def test_an_empty_file_knows_nobody(tmp_path):
    assert np.isnan(read_numbers(write_lines(tmp_path / "f"), ("x",), IDS)).all()


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"x": 1}', '{"id": "a"}', '{"id": "a", "x": "one"}', '{"id": 1, "x": 1}']
)
def test_a_broken_line_is_refused_by_its_number(tmp_path, line):
    (tmp_path / "f").write_text(f'{{"id": "b", "x": 1}}\n{line}\n')
    with pytest.raises(SparftError, match=r"line 2 must be an object with 'id' and"):
        read_numbers(tmp_path / "f", ("x",), IDS)


def test_a_number_that_is_none_is_refused(tmp_path):
    (tmp_path / "f").write_text('{"id": "b", "x": NaN}\n')
    with pytest.raises(SparftError, match="not finite"):
        read_numbers(tmp_path / "f", ("x",), IDS)


def test_a_prompt_that_comes_twice_is_refused(tmp_path):
    path = write_lines(tmp_path / "f", {"id": "b", "x": 1}, {"id": "b", "x": 2})
    with pytest.raises(SparftError, match="holds the prompt b twice"):
        read_numbers(path, ("x",), IDS)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SparftError, match="cannot be read"):
        read_numbers(tmp_path / "none", ("x",), IDS)


@pytest.mark.parametrize("value", ["", None, 3, "/no/such/file"])
def test_an_option_that_names_no_file_is_refused_with_the_mend(value):
    with pytest.raises(SparftError, match=r"^sparft\.curriculum\.angles=.* must be .*; mend it\.$"):
        check_file("angles", value, "mend it.")
