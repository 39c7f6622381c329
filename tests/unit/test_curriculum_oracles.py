"""On stationary arms our bandits choose as MABWiser's do, where the two compute the same.

What can be compared, and how:

- DUMP's bound is UCB1's with one imagined pull more, so MABWiser's number for a history with that
  pull added is exactly ours.
- SEC's draw is a softmax of values. MABWiser's Softmax policy draws from a Dirichlet distribution
  whose mean is that softmax, so its mean is compared with our frequencies.
- SPaRFT's Thompson sampling is Gaussian, MABWiser's is Beta-Bernoulli. They have the same posterior
  in the limit if sigma is the deviation of the rewards, which fits all arms only if their solve
  rates are p or 1 - p; there they are compared.
"""

from __future__ import annotations

import numpy as np
import pytest
from mabwiser.mab import MAB, LearningPolicy
from scipy.stats import chi2_contingency

from sparft_plugin.curriculum.dump import DumpCurriculum
from sparft_plugin.curriculum.sec import SecCurriculum
from sparft_plugin.curriculum.sparft import SparftCurriculum

from .arm_data import pool, signal

DRAWS = 5000
# Seeds are fixed, so a test fails always or never; this is how unlikely its numbers may be.
UNLIKELY = 0.001


def drawn(curriculum, n=DRAWS):
    """How often each arm is drawn while all are open."""
    arms = curriculum.draw_arms(n, curriculum.passes.sizes > 0)
    return np.bincount(arms, minlength=curriculum.n_arms)


def alike(one, other):
    """Whether two counts of draws may come from the same distribution."""
    return chi2_contingency([one, other]).pvalue > UNLIKELY


@pytest.mark.parametrize("seed", range(5))
def test_dumps_bound_is_ucb1s_with_one_more_pull(seed):
    rng = np.random.default_rng(seed)
    curriculum = DumpCurriculum(window=10_000, temperature=1e4).start(pool(5, 5, 5), seed)
    history = []
    for _ in range(12):
        arm, advantages = int(rng.integers(3)), rng.normal(size=rng.integers(1, 9))
        signal(curriculum, (arm, advantages))
        history += [(arm, abs(value)) for value in advantages]
    for arm in {arm for arm, _ in history}:
        mean = np.mean([value for other, value in history if other == arm])
        arms, values = zip(*history, (arm, mean), strict=True)
        oracle = MAB([0, 1, 2], LearningPolicy.UCB1(alpha=1))
        oracle.fit(list(arms), list(values))
        assert curriculum.bounds()[arm] == pytest.approx(oracle.predict_expectations()[arm])


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_sec_draws_arms_by_the_softmax_that_mabwiser_expects(temperature):
    values = [0.1, 0.5, 0.8, 0.4]
    curriculum = SecCurriculum(learning_rate=1.0, temperature=temperature).start(pool(5, 5, 5, 5))
    signal(curriculum, *[(arm, [value, -value]) for arm, value in enumerate(values)])
    oracle = MAB([0, 1, 2, 3], LearningPolicy.Softmax(tau=temperature), seed=1)
    oracle.fit([0, 1, 2, 3], values)
    samples = [list(oracle.predict_expectations().values()) for _ in range(10_000)]
    assert drawn(curriculum) / DRAWS == pytest.approx(np.mean(samples, axis=0), abs=0.025)


def test_sparft_draws_as_beta_thompson_on_failures_where_both_posteriors_agree():
    rates, groups = [0.48, 0.52, 0.48, 0.52], 400
    curriculum = SparftCurriculum(sigma=np.sqrt(0.48 * 0.52)).start(pool(5, 5, 5, 5))
    curriculum.mean[:], curriculum.count[:] = rates, groups
    failed = [np.arange(groups) >= round(rate * groups) for rate in rates]
    oracle = MAB([0, 1, 2, 3], LearningPolicy.ThompsonSampling(), seed=2)
    oracle.fit(np.repeat(np.arange(4), groups), np.concatenate(failed).astype(float))
    theirs = np.bincount([oracle.predict() for _ in range(DRAWS)], minlength=4)
    assert theirs.min() > 100
    assert alike(drawn(curriculum), theirs)
