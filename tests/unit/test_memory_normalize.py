"""The window that scales raw rewards."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.normalize import WindowNormalizer


def values(*numbers):
    return np.array(numbers, dtype=np.float64)


def test_an_empty_window_gives_zero():
    assert WindowNormalizer().normalize(values(-3.0, 0.0, 7.0)).tolist() == [0, 0, 0]


def test_equal_values_give_zero_also_up_to_rounding():
    window = WindowNormalizer()
    window.record(values(2.0, 2.0))
    assert window.normalize(values(2.0, 5.0)).tolist() == [0, 0]
    window.record(values(2.0 + 1e-7))
    assert window.normalize(values(5.0)).tolist() == [0]


def test_values_scale_between_the_extremes_and_are_clipped_outside():
    window = WindowNormalizer()
    window.record(values(-2.0, 2.0))
    np.testing.assert_allclose(window.normalize(values(-9, -2, 0, 2, 9)), [0, 0, 0.5, 1, 1])


def test_normalising_records_nothing():
    window = WindowNormalizer()
    window.record(values(0.0, 1.0))
    window.normalize(values(100.0))
    assert window.values.tolist() == [0, 1]


def test_only_the_last_values_are_kept_in_order():
    window = WindowNormalizer(3)
    window.record(values(1, 2))
    window.record(values(3, 4))
    assert window.values.tolist() == [2, 3, 4]


def test_nothing_to_compare_with_is_zero_and_not_recorded():
    window = WindowNormalizer()
    window.record(values(0.0, np.nan, 2.0))
    assert window.values.tolist() == [0, 2]
    np.testing.assert_allclose(window.normalize(values(np.nan, 1.0)), [0, 0.5])


@pytest.mark.parametrize(
    "saved", [values(1, 2, 3, 4), values(np.nan), np.zeros((1, 1)), np.zeros(1, np.float32)]
)
def test_a_saved_window_that_does_not_fit_is_refused(saved):
    with pytest.raises(SparftError, match="window"):
        WindowNormalizer(3).restore(saved)
