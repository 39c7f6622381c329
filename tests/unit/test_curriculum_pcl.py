"""PCL's value model against the closed form of ridge regression, and what it chooses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparft_plugin.curriculum import PromptPool
from sparft_plugin.curriculum.pcl import PclCurriculum
from tests.unit.prompt_data import even, ids, teach


def started(embeddings, seed=0, **options):
    embeddings = np.asarray(embeddings, dtype=np.float32)
    pool = PromptPool.of(even(len(embeddings)), embeddings)
    return PclCurriculum(**options).start(pool, seed)


def ridge(features, rates, penalty):
    """Weights and intercept of the closed form, the intercept not penalised."""
    features, rates = np.array(features, dtype=float), np.array(rates, dtype=float)
    centre, mean = features.mean(axis=0), rates.mean()
    x, y = features - centre, rates - mean
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return weights, mean - centre @ weights


def test_three_steps_worked_by_hand():
    # One dimension: p00 at 0, p01 at 1, p02 at 2.
    curriculum = started([[0], [1], [2]], ridge=1.0)
    everyone = np.arange(3)
    assert curriculum.predict(everyone).tolist() == [0.5, 0.5, 0.5]
    # p00 and p02 have 1 and 0: centred x = -1, 1 and y = 0.5, -0.5, so w = -1 / (2 + 1).
    teach(curriculum, ("p00", 4, 4), ("p02", 0, 4))
    assert curriculum.predict(everyone) == pytest.approx([0.5 + 1 / 3, 0.5, 0.5 - 1 / 3])
    assert curriculum.metrics()["value_error"] == 0.5
    # p01 has 0.5, as predicted: the same line, since x and y are centred as before.
    teach(curriculum, ("p01", 2, 4))
    assert curriculum.predict(everyone) == pytest.approx([0.5 + 1 / 3, 0.5, 0.5 - 1 / 3])
    assert curriculum.metrics()["value_error"] == pytest.approx(0, abs=1e-6)
    # p02 has 1 now: x = 0, 2, 1, 2 about 1.25, y = 1, 0, .5, 1 about .625:
    # sum xy = -.46875 - .46875 + .03125 + .28125 = -.625, sum xx = 2.75, w = -.625 / 3.75 = -1/6.
    teach(curriculum, ("p02", 4, 4))
    assert curriculum.weights == pytest.approx([-1 / 6])
    assert curriculum.intercept == pytest.approx(0.625 + 1.25 / 6)


def test_the_fit_equals_the_closed_form_over_the_newest_groups():
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((30, 4))
    curriculum = started(embeddings, buffer=10, ridge=0.3)
    seen, rates = [], []
    for _ in range(6):
        chosen = rng.choice(30, size=4, replace=False).tolist()
        right = rng.integers(0, 9, size=4).tolist()
        teach(curriculum, *[(f"p{i:02}", r, 8) for i, r in zip(chosen, right, strict=True)])
        # Groups are learned in the order of their picks.
        order = np.argsort([curriculum.recent[-4:].tolist().index(i) for i in chosen])
        seen += [chosen[i] for i in order]
        rates += [right[i] / 8 for i in order]
    weights, intercept = ridge(np.float32(embeddings)[seen[-10:]], rates[-10:], 0.3)
    assert curriculum.weights == pytest.approx(weights)
    assert curriculum.intercept == pytest.approx(intercept)


def test_predictions_stay_pass_rates():
    curriculum = started([[0], [1], [50], [-50]], ridge=1e-6)
    teach(curriculum, ("p00", 0, 4), ("p01", 4, 4))
    assert curriculum.predict(np.arange(4)) == pytest.approx([0, 1, 1, 0], abs=1e-4)


def test_the_prompts_predicted_nearest_to_tau_are_kept():
    curriculum = started(np.linspace(0, 1, 21)[:, None], candidates=None, ridge=1e-6)
    teach(curriculum, *[(f"p{i:02}", i, 20) for i in range(21)])
    assert set(ids(curriculum.select(3))) == {"p09", "p10", "p11"}
    curriculum.tau = 0.1
    assert set(ids(curriculum.select(3))) == {"p01", "p02", "p03"}


def test_a_changed_pool_keeps_the_model_and_drops_what_is_gone():
    curriculum = started([[0], [1], [2]])
    teach(curriculum, ("p00", 4, 4), ("p02", 0, 4))
    state = json.loads(json.dumps(curriculum.state_dict()))
    smaller = started([[0], [1]])
    smaller.load_state_dict(state)
    assert smaller.weights == pytest.approx(curriculum.weights)
    assert smaller.recent.tolist() == [0]
    assert smaller.rates.tolist() == [1.0]


def test_embeddings_of_another_width_are_fitted_anew():
    curriculum = started([[0], [1], [2]])
    teach(curriculum, ("p00", 4, 4), ("p02", 0, 4))
    wider = started([[0, 5], [1, 5], [2, 5]])
    wider.load_state_dict(json.loads(json.dumps(curriculum.state_dict())))
    assert wider.predict(np.arange(3)) == pytest.approx(curriculum.predict(np.arange(3)))
