"""Curves of runs that go well, and of runs that collapse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.collapse import CollapseWatch, StepStats

STEPS = 200


def line(start, end):
    """A straight way from one value to another."""
    return np.linspace(start, end, STEPS)


def curve(accuracy=0.3, mean_tokens=150, clipped_share=0.02, format_reward=0.5, noise=0.0, seed=0):
    """Steps of a run; each value is a number or a line, accuracy with noise."""
    rng = np.random.default_rng(seed)
    columns = [np.broadcast_to(v, STEPS) for v in (accuracy, mean_tokens, clipped_share)]
    columns[0] = np.clip(columns[0] + noise * rng.normal(size=STEPS), 0, 1)
    formats = [None] * STEPS if format_reward is None else np.broadcast_to(format_reward, STEPS)
    return [
        StepStats(a.item(), t.item(), c.item(), None if f is None else float(f))
        for a, t, c, f in zip(*columns, formats, strict=True)
    ]


def told(steps, **options):
    """Each warning with the number of its step."""
    watch = CollapseWatch(**options)
    return [(n, text) for n, step in enumerate(steps, 1) for text in watch.observe(step)]


HEALTHY = {
    "learning": {"accuracy": line(0.1, 0.6), "format_reward": line(0.1, 1), "noise": 0.05},
    "standing still": {"noise": 0.1},
    "harder prompts at a format long learned": {"accuracy": line(0.9, 0.1), "format_reward": 1.0},
    "harder prompts without a format reward": {"accuracy": line(0.9, 0.1), "format_reward": None},
    "right and brief": {"accuracy": line(0.2, 0.8), "mean_tokens": line(300, 20)},
    "longer and longer": {"mean_tokens": line(50, 900), "clipped_share": line(0, 0.3)},
    "a limit too small from the start": {"clipped_share": line(0.7, 0.8)},
    "never right": {"accuracy": 0.0, "format_reward": line(0, 1)},
    "hardly ever right": {
        "accuracy": np.random.default_rng(0).binomial(128, 0.01, size=STEPS) / 128,
        "format_reward": line(0, 1),
    },
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_of(name):
    for seed in range(3 if "noise" in HEALTHY[name] else 1):
        assert told(curve(**HEALTHY[name], seed=seed)) == []


FORMAT = {"accuracy": line(0.35, 0.02), "format_reward": line(0.1, 1), "noise": 0.05}
COLLAPSING = {
    "reward-mode collapse": FORMAT,
    "length collapse: over the last 20 steps responses had": {"mean_tokens": line(200, 4)},
    "of the responses ran to the limit": {"clipped_share": line(0.05, 1)},
}


@pytest.mark.parametrize("text", COLLAPSING)
def test_each_collapse_is_told_once(text):
    for seed in range(3):
        ((step, sentence),) = told(curve(**COLLAPSING[text], seed=seed))
        assert text in sentence
        assert 60 < step < STEPS


def test_neither_scale_nor_sign_of_the_format_reward_matters():
    formats = [0.01 * line(0.2, 1), line(0.2, 1), 50 * line(0.2, 1), line(-1, -0.1)]
    curves = [curve(accuracy=line(0.4, 0.05), format_reward=each) for each in formats]
    assert len({told(steps)[0][0] for steps in curves[:3]}) == 1
    assert "rose to" in told(curves[3])[0][1]


def test_the_sentence_tells_the_figures():
    steps = curve(clipped_share=np.repeat([0.1, 0.9], STEPS // 2))
    ((step, sentence),) = told(steps, window=10)
    assert step == STEPS // 2 + 5
    assert "over the last 10 steps 50% of the responses ran to the limit, 10% did" in sentence


def test_an_episode_that_wavers_is_told_once_and_a_second_one_again():
    shares = [*[0.05] * 40, *[0.6, 0.35] * 40, *[0.05] * 40, *[0.7] * 40]
    assert len(told(curve(clipped_share=shares), window=5)) == 2


def test_metrics_are_degrees_once_the_window_is_full():
    watch = CollapseWatch(window=10)
    steps = curve(mean_tokens=np.repeat([200, 50], STEPS // 2))
    assert [watch.observe(step) for step in steps[91:100]] == [[]] * 9
    assert watch.metrics()["short"] == 0
    for step in steps:
        watch.observe(step)
    degrees = {"reward_mode": 0, "short": 0.75, "limit": 0}
    assert watch.metrics() == pytest.approx({**degrees, "episodes": 0, "factor": 1})


def test_the_fade_goes_down_evenly_in_an_episode_and_up_after_it_where_asked():
    watches = CollapseWatch(window=10), CollapseWatch(window=10, fade=True)
    shares, seen = np.repeat([0.0, 0.9, 0.0, 0.0], 50), []
    for step in curve(clipped_share=shares):
        for watch in watches:
            watch.observe(step)
        seen.append(watches[1].factor)
        assert watches[0].factor == 1
    begin = seen.index(next(f for f in seen if f < 1))
    assert 50 < begin < 60
    np.testing.assert_allclose(seen[begin : begin + 10], np.linspace(0.9, 0, 10), atol=1e-12)
    assert seen[99] == 0
    assert seen[-1] == 1
    up = [f for f in seen[100:] if 0 < f < 1]
    np.testing.assert_allclose(np.diff(up), 0.1)


@pytest.mark.parametrize("cut", [0, 5, 30, 120])
def test_a_resumed_watch_is_the_one_that_never_stopped(cut):
    steps = curve(**FORMAT)
    straight, resumed = CollapseWatch(fade=True), CollapseWatch(fade=True)
    for step in steps[:cut]:
        straight.observe(step)
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict(), allow_nan=False)))
    for step in steps[cut:]:
        assert resumed.observe(step) == straight.observe(step)
        assert resumed.metrics() == straight.metrics()
    assert resumed.state_dict() == straight.state_dict()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 9}, "version=9"),
        ({"window": 7}, "window=7, this run has 20"),
        ({"surprise": 1}, "unknown 'surprise'"),
        ({"active": {"short": True}}, "lacks 'limit', 'reward_mode'"),
        ({"best": ...}, "lacks 'best'"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name(change, word):
    watch = CollapseWatch()
    state = {**watch.state_dict(), **change}
    with pytest.raises(SparftError, match=word):
        watch.load_state_dict({key: value for key, value in state.items() if value is not ...})


@pytest.mark.parametrize(
    ("cls", "values", "word"),
    [
        (StepStats, (np.nan, 1, 0), "accuracy"),
        (StepStats, (1.1, 1, 0), "accuracy"),
        (StepStats, (0.5, -1, 0), "mean_tokens"),
        (StepStats, (0.5, np.inf, 0), "mean_tokens"),
        (StepStats, (0.5, 1, 2), "clipped_share"),
        (StepStats, (0.5, 1, 0, np.nan), "format_reward"),
        (CollapseWatch, (1,), "window"),
        (CollapseWatch, (2.5,), "window"),
        (CollapseWatch, (2, "yes"), "fade"),
    ],
)
def test_values_out_of_range_are_refused_by_name(cls, values, word):
    with pytest.raises(SparftError, match=word):
        cls(*values)
