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
        (n, option, v)
        for n, options in REFUSED.items()
        for option in options
        for v in options[option]
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


def test_numbers_stand_where_their_prompts_do_and_what_is_no_line_of_one_is_passed_over(tmp_path):
    path = tmp_path / "f"
    lines = (
        {"id": "c", "x": 3, "y": 30},
        {"id": "zz", "x": 9, "y": 9},
        {"id": "a", "x": 1, "y": 2},
    )
    write_lines(path, {"format": "any"}, {"id": "a", "too_long": 9}, *lines)
    path.write_text(path.read_text() + '{"id": "b", "x"')
    found = read_numbers(path, ("x", "y"), IDS)
    np.testing.assert_array_equal(found, [[1, 2], [np.nan, np.nan], [3, 30]])
    assert np.isnan(read_numbers(write_lines(path), ("x",), IDS)).all()


BROKEN = r"line 2 must be an object with 'id' and"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        *[(line, BROKEN) for line in ("{", "[]", '{"x": 1}', '{"id": "a"}', '{"id": 1, "x": 1}')],
        ('{"id": "a", "x": "one"}', BROKEN),
        ('{"id": "a", "x": NaN}', "a number is not finite"),
        ('{"id": "b", "x": 2}', "holds the prompt b twice"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_line_is_refused_by_its_number_and_so_is_a_file_that_cannot_be_read(
    tmp_path, line, sentence
):
    if line is not None:
        (tmp_path / "f").write_text(f'{{"id": "b", "x": 1}}\n{line}\n')
    with pytest.raises(SparftError, match=sentence):
        read_numbers(tmp_path / "f", ("x",), IDS)


@pytest.mark.parametrize("value", ["", None, 3, "/no/such/file"])
def test_an_option_that_names_no_file_is_refused_with_the_mend(value):
    with pytest.raises(SparftError, match=r"^sparft\.curriculum\.angles=.* must be .*; mend it\.$"):
        check_file("angles", value, "mend it.")
