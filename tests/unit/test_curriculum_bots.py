"""BOTS' posteriors against worked numbers and a prompt-by-prompt oracle."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.curriculum.bots import BotsCurriculum
from sparft_plugin.errors import SparftError
from tests.unit.prompt_data import even, ids, teach, write_lines


def reference(tmp_path, *rates):
    """A file with (weak, strong) of p00, p01, ..."""
    lines = [{"id": f"p{i:02}", "weak": w, "strong": s} for i, (w, s) in enumerate(rates)]
    return write_lines(tmp_path / "reference.jsonl", *lines)


def test_own_evidence_alone_worked_by_hand():
    curriculum = BotsCurriculum(lam=0.1).start(even(3))
    # p00: a = 0.9 + 0.1 + 3 = 4, b = 0.9 + 0.1 + 1 = 2; others stay at 1, to which all fades.
    teach(curriculum, ("p00", 3, 4))
    assert curriculum.right == pytest.approx([4, 1, 1])
    assert curriculum.wrong == pytest.approx([2, 1, 1])
    # p00 fades: a = 3.6 + 0.1, b = 1.8 + 0.1; p02: a = 1, b = 1 + 4.
    teach(curriculum, ("p02", 0, 4))
    assert curriculum.right == pytest.approx([3.7, 1, 1])
    assert curriculum.wrong == pytest.approx([1.9, 1, 5])
    # p02: a = 1 + 1, b = 4.5 + 0.1 + 1; p00: a = 3.33 + 0.1, b = 1.71 + 0.1.
    teach(curriculum, ("p02", 1, 2))
    assert curriculum.right == pytest.approx([3.43, 1, 2])
    assert curriculum.wrong == pytest.approx([1.81, 1, 5.6])
    assert "ability" not in curriculum.metrics()


def test_models_that_solve_a_batch_alike_say_nothing_of_the_ability(tmp_path):
    path = reference(tmp_path, (0.2, 0.6), (0.5, 0.5))
    curriculum = BotsCurriculum(reference=path).start(even(2))
    # c = (0.5 - 0.2) / (0.6 - 0.2) = 0.75.
    teach(curriculum, ("p00", 2, 4))
    teach(curriculum, ("p01", 4, 4))
    assert curriculum.metrics()["ability"] == pytest.approx(0.75)
    assert curriculum.metrics()["reference_prompts"] == 2


def test_many_steps_equal_an_oracle_that_goes_prompt_by_prompt(tmp_path):
    rng = np.random.default_rng(3)
    n, lam, rho, m, momentum = 12, 0.2, 0.3, 5, 0.7
    rates = [(w, min(1.0, w + g)) for w, g in rng.random((n, 2)).tolist()]
    options = {"lam": lam, "rho": rho, "m": m, "momentum": momentum}
    path = reference(tmp_path, *rates[:-1])
    curriculum = BotsCurriculum(reference=path, **options).start(even(n))
    a, b, ability = [1.0] * n, [1.0] * n, None
    for _ in range(8):
        chosen = rng.choice(n, size=4, replace=False).tolist()
        right = {i: int(rng.integers(0, 7)) for i in chosen}
        teach(curriculum, *[(f"p{i:02}", right[i], 6) for i in chosen])
        known = [i for i in chosen if i < n - 1]
        weak = sum(rates[i][0] for i in known) / len(known)
        strong = sum(rates[i][1] for i in known) / len(known)
        now = (sum(right[i] / 6 for i in known) / len(known) - weak) / (strong - weak)
        ability = now if ability is None else momentum * ability + (1 - momentum) * now
        for i in range(n):
            a[i], b[i] = (1 - lam) * a[i] + lam, (1 - lam) * b[i] + lam
            if i in right:
                q, own = right[i] / 6, (right[i], 6 - right[i])
            elif i < n - 1:
                low, high = rates[i]
                q, own = min(1.0, max(0.0, low + ability * (high - low))), (0, 0)
            else:
                continue
            a[i] += (1 - rho) * own[0] + rho * m * q
            b[i] += (1 - rho) * own[1] + rho * m * (1 - q)
    assert curriculum.ability == pytest.approx(ability, rel=1e-6)
    assert curriculum.right == pytest.approx(a, rel=1e-5)
    assert curriculum.wrong == pytest.approx(b, rel=1e-5)


def test_prompts_that_the_models_solve_half_are_preferred_before_they_were_ever_drawn(tmp_path):
    rates = [(0.0, 0.0) if i % 2 else (0.0, 1.0) for i in range(40)]
    path = reference(tmp_path, *rates)
    curriculum = BotsCurriculum(reference=path, m=1000).start(even(40))
    for _ in range(5):
        teach(curriculum, ("p00", 4, 8))
    assert {int(name[1:]) % 2 for name in ids(curriculum.select(10))} == {0}


def test_a_file_that_knows_no_prompt_is_refused(tmp_path):
    path = write_lines(tmp_path / "r.jsonl", {"id": "else", "weak": 0, "strong": 1})
    with pytest.raises(SparftError, match="knows none of the 2 prompts"):
        BotsCurriculum(reference=path).start(even(2))


def test_a_rate_outside_zero_and_one_is_refused(tmp_path):
    with pytest.raises(SparftError, match=r"pass rate outside \[0, 1\]"):
        BotsCurriculum(reference=reference(tmp_path, (0.5, 60))).start(even(2))


def test_a_second_pool_reads_the_file_anew(tmp_path):
    path = reference(tmp_path, (0.1, 0.9), (0.2, 0.8))
    curriculum = BotsCurriculum(reference=path)
    curriculum.start(even(2))
    curriculum.start(even(1))
    assert curriculum.models.shape == (2, 1)
