"""GAIN-RL's moving Gaussian against worked numbers and the weighted draw it stands for."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from sparft_plugin.curriculum.gain_rl import GainRLCurriculum
from sparft_plugin.errors import SparftError
from tests.unit.prompt_data import even, ids, teach, write_lines


@pytest.fixture
def angles(tmp_path):
    """A file in which p00 has the highest angle."""

    def write(*values):
        records = [{"id": f"p{i:02}", "angle": v} for i, v in enumerate(values)]
        return write_lines(tmp_path / "angles.jsonl", {"format": "sparft angles 1"}, *records)

    return write


def started(path, size, seed=0, **options):
    return GainRLCurriculum(angles=path, **{"corpus": None, **options}).start(even(size), seed)


def test_prompts_are_ranked_by_angle_highest_first(angles):
    assert started(angles(0.2, 0.9, 0.5), 3).rank.tolist() == [2, 0, 1]


def test_three_steps_worked_by_hand(angles):
    curriculum = started(angles(*[0.5, 0.25] + [0.0] * 48), 50, n=10)
    # p00, all right: 10 tanh(2 (1 - 0.5)) + 10 tanh(2 * 0.5) = 7.615942 + 7.615942.
    teach(curriculum, ("p00", 4, 4))
    assert curriculum.mean == pytest.approx(15.231883, abs=1e-6)
    # p00 and p01, 1 of 4 rollouts: 10 tanh(-0.5) + 10 tanh(2 * 0.375) = -4.621172 + 6.351490.
    teach(curriculum, ("p00", 1, 2), ("p01", 0, 2))
    assert curriculum.mean == pytest.approx(15.231883 + 1.730318, abs=1e-6)
    # p02, none right, angle 0: -7.6 is no move back.
    teach(curriculum, ("p02", 0, 4))
    assert curriculum.mean == pytest.approx(16.962201, abs=1e-6)
    assert curriculum.metrics()["mean_rank_share"] == pytest.approx(16.962201 / 49, abs=1e-6)


def test_the_mean_stays_inside_the_ranks(angles):
    curriculum = started(angles(*[1.0] * 6), 6)
    teach(curriculum, ("p00", 4, 4))
    assert curriculum.mean == 5.0


def test_ranks_scale_with_the_pool(angles):
    path = angles(*[0.5] * 50)
    small = started(path, 50, corpus=5000)
    plain = started(path, 50, n=5)
    assert (small.scale, small.n * small.scale) == (0.01, 5)
    for curriculum in (small, plain):
        teach(curriculum, ("p00", 3, 4))
    assert small.mean == pytest.approx(plain.mean)


def test_prompts_are_drawn_as_often_as_the_gaussian_says(angles):
    curriculum = started(angles(3, 2, 1, 0), 4, sigma=1.5)
    curriculum.mean = 1.0
    draws = 6000
    drawn = Counter(name for _ in range(draws) for name in ids(curriculum.select(1)))
    weights = [math.exp(-((rank - 1) ** 2) / (2 * 1.5**2)) for rank in range(4)]
    for rank, weight in enumerate(weights):
        share = weight / sum(weights)
        deviation = math.sqrt(share * (1 - share) / draws)
        assert drawn[f"p{rank:02}"] / draws == pytest.approx(share, abs=4 * deviation)


def test_a_batch_is_a_weighted_draw_without_replacement(angles):
    curriculum = started(angles(2, 1, 0), 3, sigma=1.0)
    weights = np.exp(-0.5 * np.arange(3) ** 2)
    share = weights / weights.sum()
    # P({0, 1}) = p0 p1 / (1 - p0) + p1 p0 / (1 - p1)
    expected = share[0] * share[1] * (1 / (1 - share[0]) + 1 / (1 - share[1]))
    draws = 6000
    hits = sum(set(ids(curriculum.select(2))) == {"p00", "p01"} for _ in range(draws))
    deviation = math.sqrt(expected * (1 - expected) / draws)
    assert hits / draws == pytest.approx(expected, abs=4 * deviation)


def test_a_prompt_without_an_angle_is_refused_by_name(angles):
    with pytest.raises(SparftError, match=r"lacks 1 of 4 prompts, such as p03; .*sparft angles"):
        started(angles(1, 2, 3), 4)


def test_a_file_that_is_not_there_is_refused_with_the_command_that_writes_it():
    with pytest.raises(SparftError, match=r"\.angles='no.jsonl' must be .*sparft angles"):
        GainRLCurriculum(angles="no.jsonl")


def test_a_second_pool_is_ranked_anew(angles):
    curriculum = started(angles(0.1, 0.2, 0.3), 3)
    assert curriculum.start(even(2)).rank.tolist() == [1, 0]
