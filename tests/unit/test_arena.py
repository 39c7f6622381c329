"""The arena's statistics, on known data, and its file of rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ARENA = Path(__file__).resolve().parents[2] / "recipes" / "arena"
sys.path.insert(0, str(ARENA))

import results  # noqa: E402
import rows  # noqa: E402
import simulated  # noqa: E402
import stats  # noqa: E402
import suites  # noqa: E402
import table  # noqa: E402

# Other recipes have modules of the same names.
sys.path.remove(str(ARENA))

SEEDS = range(12)


def row(pool: str, arm: str, seed: int, area: float) -> dict:
    curve = [(0, 0.2), (500, 0.2 + area), (1000, area + 0.4)]
    return {
        "suite": "decide",
        "pool": pool,
        "arm": arm,
        "seed": seed,
        "area": area,
        "end": area + 0.4,
        "curve": curve,
        "silent": 0.5,
        "cpu_seconds": 10.0,
        "known": None,
        "probes": 0,
        "settings": {"budget": 1000},
    }


def world(effect: float) -> results.Results:
    """Runs whose arm is better by an effect, under the noise that two runs of one command have."""
    rng = np.random.default_rng(5)
    made = []
    for pool in ("healthy", "late"):
        for seed in SEEDS:
            start = rng.normal(0.5, 0.05)
            for arm, gain in (("uniform", 0.0), ("ours", effect), ("oracle", 0.2)):
                made.append(row(pool, arm, seed, start + gain + rng.normal(0, 0.014)))
    return results.Results(made, results.headroom(made))


def test_a_planted_difference_of_two_hundredths_is_found_with_twelve_seeds():
    (verdict,) = [v for v in results.verdicts(world(0.02)) if v.arm == "ours"]
    assert verdict.area.low > 0
    assert abs(verdict.area.value - 0.02) < 0.01
    assert verdict.p < 0.01
    assert verdict.survives


def test_no_difference_is_found_between_two_arms_that_are_the_same():
    (verdict,) = [v for v in results.verdicts(world(0.0)) if v.arm == "ours"]
    assert verdict.area.low < 0 < verdict.area.high
    assert verdict.p > 0.05


def test_the_sign_flip_test_finds_what_is_not_there_as_rarely_as_it_says():
    rng = np.random.default_rng(1)
    found = [stats.p_value({"a": rng.normal(size=4), "b": rng.normal(size=4)}) for _ in range(300)]
    assert 0.02 <= np.mean(np.array(found) < 0.05) <= 0.08


def test_a_pool_counts_for_wins_if_the_oracle_is_four_standard_errors_above_uniform():
    rooms = results.headroom(world(0.0).rows)
    assert {name: room.wins for name, room in rooms.items()} == {"healthy": True, "late": True}
    level = [row("late", arm, s, 0.5 + s / 100) for s in SEEDS for arm in ("uniform", "oracle")]
    level[0]["area"] += 0.01
    assert not results.headroom(level)["late"].wins


def test_a_pool_that_repeats_anothers_rows_is_in_no_mean():
    made = world(0.0).rows + [{**one, "pool": "late_blind"} for one in world(0.0).rows]
    found = results.Results(made, results.headroom(made))
    assert found.pools == ["healthy", "late", "late_blind"]
    assert found.win_pools == ["healthy", "late"]
    assert list(found.saved("ours")) == ["healthy", "late"]


def test_differences_are_taken_seed_by_seed():
    made = [row("late", "uniform", s, 0.1 * s) for s in (1, 2, 3)]
    made += [row("late", "ours", s, 0.1 * s + 0.01) for s in (2, 3, 4)]
    found = results.Results(made, {}).differences("ours")
    np.testing.assert_allclose(found["late"], [0.01, 0.01])


def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side():
    assert stats.iqm(np.array([-100.0, 1, 2, 3, 4, 5, 6, 100])) == pytest.approx(3.5)


def test_an_interval_of_the_mean_is_students():
    found = stats.mean_interval(np.array([1.0, 2.0, 3.0]))
    # t(2, .975) = 4.3027, standard error 1 / sqrt(3).
    assert found.value == 2
    assert found.high - 2 == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)


def test_the_probability_of_improvement_counts_pairs_and_halves_ties():
    ours, theirs = {"a": np.array([1.0, 3.0])}, {"a": np.array([1.0, 2.0])}
    assert stats.improvement(ours, theirs) == pytest.approx((0.5 + 0 + 1 + 1) / 4)


def test_holm_multiplies_the_smallest_by_the_number_and_keeps_the_order():
    np.testing.assert_allclose(stats.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])


@pytest.mark.parametrize(
    ("target", "rollouts"), [(0.1, 0.0), (0.2, 0.0), (0.3, 250.0), (0.5, 750.0), (0.9, 1000.0)]
)
def test_rollouts_to_a_target_are_read_between_the_points_of_the_curve(target, rollouts):
    curve = [(0, 0.2), (500, 0.4), (1000, 0.6)]
    assert stats.reached(curve, target, 1000) == pytest.approx(rollouts)


def test_a_torn_line_is_cut_off_and_a_row_is_dropped_by_name_with_its_reason(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(row("late", arm, 1, 0.5)) + "\n" for arm in ("uniform", "ours")]
    path.write_text("".join(lines) + '{"suite": "dec')
    rows.without_torn_line(path)
    assert path.read_text() == "".join(lines)
    assert rows.drop(path, {"pool": "late", "arm": "ours"}, "its option was wrong") == 1
    assert path.read_text() == lines[0]
    (dropped,) = rows.read(tmp_path / "dropped.jsonl")
    assert (dropped["arm"], dropped["why"]) == ("ours", "its option was wrong")


def test_a_run_with_two_rows_is_refused_by_its_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(2 * (json.dumps(row("late", "ours", 1, 0.5)) + "\n"))
    with pytest.raises(ValueError, match="line 2 .* is a second row of a run"):
        rows.read(path)


def test_a_suite_is_read_when_it_is_whole_and_no_row_before(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    made = []
    for name in ("headroom", "screen"):
        for run in suites.suite(name, []).runs():
            area = 0.5 + 0.1 * (run.arm == "oracle") + rng.normal(0, 0.01)
            made.append(row(run.pool, run.arm, run.seed, area) | {"suite": name})
    page, front = tmp_path / "docs" / "arena.md", tmp_path / "README.md"
    page.parent.mkdir()
    marks = ["pools", "screen", "decide"]
    told = tmp_path / "docs" / "simulate.md"
    told.write_text("<!-- agreement -->\nnothing\n<!-- end agreement -->\n")
    page.write_text("".join(f"<!-- {one} -->\nnothing\n<!-- end {one} -->\n" for one in marks))
    front.write_text("<!-- arena -->\nnothing\n<!-- end arena -->\n")
    monkeypatch.setattr(table, "ROOT", tmp_path)
    file = tmp_path / "rows.jsonl"
    for rows_of, read in ((made[:-1], False), (made, True)):
        file.write_text("".join(json.dumps(one) + "\n" for one in rows_of))
        table.main(["--rows", str(file)])
        assert ("nothing" not in front.read_text()) is read
        assert ("| `uniform_again` |" in page.read_text()) is read
    assert "<!-- decide -->\nnothing" in page.read_text()
    assert "`farthest_point`" in front.read_text()
    assert "`policy_late`" in told.read_text()


def test_the_interval_of_a_rank_correlation_is_fishers_and_wider_for_fewer():
    found = stats.fisher_interval(0.5, 12)
    # atanh .5 = .5493, standard error sqrt(1.125 / 9) = .3536.
    assert found.low == pytest.approx(np.tanh(0.5493 - 1.96 * 0.3536), abs=1e-3)
    assert stats.fisher_interval(0.5, 6).low < found.low
    assert stats.fisher_interval(1.0, 6).low < 1


def test_the_simulators_order_is_laid_beside_that_of_the_pool_it_is_like():
    made = [
        row("late_phase", arm, seed, 0.5 + 0.01 * rank)
        for rank, arm in enumerate(["uniform", "sec", "dump", "bots", "mopps"])
        for seed in SEEDS
    ]
    found = results.Results(made, {})
    order = {"mopps": 0.4, "bots": 0.3, "dump": 0.2, "sec": 0.1}
    assert "of 4 curricula" in simulated.agreement(found, {"policy_late": order})
    assert "`policy_late` +1.000" in simulated.agreement(found, {"policy_late": order})
    back = dict(zip(order, reversed(order.values()), strict=True))
    assert "`policy_late` -1.000" in simulated.agreement(found, {"policy_late": back})
