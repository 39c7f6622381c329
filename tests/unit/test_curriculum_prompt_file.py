"""Numbers by prompt id: what is read, what is passed over, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.curriculum.options import check_file, read_numbers
from sparft_plugin.errors import SparftError
from tests.unit.prompt_data import write_lines

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
