"""The window that scales raw rewards."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.normalize import WindowNormalizer


def values(*numbers):
    return np.array(numbers, dtype=np.float64)


def test_an_empty_window_gives_zero():
    assert WindowNormalizer().normalize("q", values(-3.0, 0.0, 7.0)).tolist() == [0, 0, 0]


def test_equal_values_give_zero_also_up_to_rounding():
    window = WindowNormalizer()
    window.record("q", values(2.0, 2.0))
    assert window.normalize("q", values(2.0, 5.0)).tolist() == [0, 0]
    window.record("q", values(2.0 + 1e-7))
    assert window.normalize("q", values(5.0)).tolist() == [0]


def test_values_scale_between_the_extremes_and_are_clipped_outside():
    window = WindowNormalizer()
    window.record("q", values(-2.0, 2.0))
    np.testing.assert_allclose(window.normalize("q", values(-9, -2, 0, 2, 9)), [0, 0, 0.5, 1, 1])


def test_normalising_records_nothing():
    window = WindowNormalizer()
    window.record("q", values(0.0, 1.0))
    window.normalize("q", values(100.0))
    assert window.windows[""].tolist() == [0, 1]


def test_only_the_last_values_are_kept_in_order():
    window = WindowNormalizer(3)
    window.record("q", values(1, 2))
    window.record("q", values(3, 4))
    assert window.windows[""].tolist() == [2, 3, 4]


def test_nothing_to_compare_with_is_zero_and_not_recorded():
    window = WindowNormalizer()
    window.record("q", values(0.0, np.nan, 2.0))
    assert window.windows[""].tolist() == [0, 2]
    np.testing.assert_allclose(window.normalize("q", values(np.nan, 1.0)), [0, 0.5])


def test_each_query_has_a_window_of_its_own_where_asked():
    window = WindowNormalizer(3, "per_query")
    window.record("a", values(0, 1))
    window.record("b", values(0, 4))
    assert [window.normalize(name, values(1)).item() for name in "abc"] == [
        pytest.approx(1),
        pytest.approx(0.25),
        0,
    ]


def test_the_window_opened_first_gives_way_to_a_new_query():
    window = WindowNormalizer(3, "per_query", capacity=2)
    for name in ("a", "b", "a", "c"):
        window.record(name, values(1))
    window.record("d", values(np.nan))
    assert list(window.windows) == ["b", "c"]


def test_a_fork_and_its_origin_do_not_see_each_other():
    window = WindowNormalizer()
    window.record("q", values(1))
    fork = window.fork()
    fork.record("q", values(2))
    window.record("q", values(3))
    assert (window.windows[""].tolist(), fork.windows[""].tolist()) == ([1, 3], [1, 2])


def saved(**changes):
    window = WindowNormalizer(3, "per_query")
    window.record("a", values(1, 2))
    window.record("b", values(3))
    return {**window.arrays(), **changes}


def test_saved_windows_come_back():
    copy = WindowNormalizer(3, "per_query")
    copy.restore(saved())
    assert {k: v.tolist() for k, v in copy.windows.items()} == {"a": [1, 2], "b": [3]}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"values": values(1, 2, np.nan)}, "finite"),
        ({"values": np.zeros((1, 1))}, "shape"),
        ({"values": np.zeros(3, np.float32)}, "float64"),
        ({"values": values(1, 2)}, "count 3 values and hold 2"),
        ({"counts": np.array([0, 3])}, "no values"),
        ({"counts": np.array([3])}, "no values"),
        ({"prompt_ids": np.array(["a", "a"])}, "unique"),
        ({"prompt_ids": np.array([1, 2])}, "strings"),
        ({"surprise": values()}, "'surprise'"),
    ],
)
def test_saved_windows_that_do_not_fit_are_refused(changes, word):
    with pytest.raises(SparftError, match=word):
        WindowNormalizer(3, "per_query").restore(saved(**changes))


@pytest.mark.parametrize(
    ("options", "word"),
    [((1, "per_query"), "window=1"), ((3, "global"), "global"), ((3, "per_query", 1), "per_query")],
)
def test_saved_windows_of_other_options_are_refused(options, word):
    with pytest.raises(SparftError, match=word):
        WindowNormalizer(*options).restore(saved())
