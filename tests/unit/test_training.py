"""What a run makes of finished groups beside learning: it watches, fades, warns and stops."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Prompt, PromptPool
from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import Terms
from sparft_plugin.training import run as module
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.metrics import STEPS, group_metrics, step_stats, worker_metrics
from sparft_plugin.training.run import TrainingRun, speak

WINDOW = 20


def group(accuracy=0.5, pick=None, n=4, **told):
    """A group of n rollouts, of which a share is right."""
    tag = {"id": "p", "arm": 0, "difficulty": None, "pick": None}
    if pick is not None:
        tag |= {"id": pick.prompt.id, "pick": pick.pick_id}
    right = (np.arange(n) < n * accuracy).astype(np.float64)
    outputs = tuple((i,) for i in range(n))
    return FinishedGroup("uid", tag, outputs, right, right, None, 0, **told)


def lengths(tokens, at_limit=False):
    return {"tokens": np.full(4, tokens, np.int64), "at_limit": np.full(4, at_limit)}


# Metrics of a step


def test_a_group_of_one_rollout_is_not_called_wasted():
    alone, mixed, equal = group(1.0, n=1), group(), group(1.0)
    assert "wasted_group_share" not in group_metrics([alone], [])
    assert group_metrics([alone, mixed], [])["wasted_group_share"] == 0.0
    assert group_metrics([mixed], [equal])["wasted_group_share"] == 0.5


def test_encoding_counts_for_as_long_as_it_outlived_the_last_reward_of_the_step():
    hidden = group(scored_at=104.0, embedded_at=104.0)
    outlived = group(scored_at=105.0, embedded_at=106.5)
    assert worker_metrics([hidden]) == {"ms/encode_in_workers": 0.0}
    assert worker_metrics([hidden, outlived]) == {"ms/encode_in_workers": 1500.0}
    # Where no worker encodes, as in TRL, there is nothing to tell.
    assert worker_metrics([group()]) == worker_metrics([]) == {}


def test_a_step_is_told_over_all_its_responses():
    stats = step_stats([group(**lengths(10)), group(0.25, **lengths(20, at_limit=True))])
    assert stats is not None
    assert (stats.accuracy, stats.mean_tokens, stats.clipped_share) == (0.375, 15.0, 0.5)
    assert stats.format_reward is None
    # Without the lengths of all there is nothing to watch.
    assert step_stats([group(**lengths(10)), group()]) is None
    assert step_stats([]) is None


# Collapses


class PaysOne:
    """A memory that pays one for everything and is its own far side."""

    def __init__(self, *arguments):
        self.memory = self

    def score_and_write(self, trained, cleared):
        return [Terms(*np.ones((3, len(group.rewards)))) for group in trained]

    def metrics(self):
        return {}

    def state_dict(self):
        return {"header": "the memory"}

    def load_state_dict(self, state):
        assert state == {"header": "the memory"}


@pytest.fixture
def paying(monkeypatch):
    monkeypatch.setattr(module, "Remembering", PaysOne)

    def make(**host):
        memory = {"name": "memory_r", "encoder": "tiny", **host}
        return TrainingRun(SparftConfig.from_mapping({"memory": memory}), None, str)

    return make


HEALTHY, SHORT = group(**lengths(100)), group(**lengths(2))


def train(run, *groups):
    """What each step paid a rollout, and its metrics."""
    told = []
    for finished in groups:
        result = run.finish([finished])
        (paid,) = np.unique(result.terms["uid"])
        assert result.metrics["sparft/reward/intrinsic"] == pytest.approx(paid)
        told.append((float(paid), result.metrics))
    return told


def test_a_collapse_is_told_once_and_pays_on(paying, caplog):
    told = train(paying(), *[HEALTHY] * WINDOW, *[SHORT] * 2 * WINDOW)
    assert [paid for paid, _ in told] == [1.0] * 3 * WINDOW
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("sparft: length collapse")
    assert told[0][1]["sparft/collapse/episodes"] == 0
    assert told[-1][1]["sparft/collapse/episodes"] == 1
    assert told[-1][1]["sparft/collapse/short"] == pytest.approx(0.98)


def test_a_collapse_fades_the_intrinsic_reward_where_that_is_asked_for(paying):
    told = train(paying(fade=True), *[HEALTHY] * WINDOW, *[SHORT] * 2 * WINDOW)
    paid = [reward for reward, _ in told]
    assert paid[: WINDOW + 1] == [1.0] * (WINDOW + 1)
    assert paid == sorted(paid, reverse=True)
    assert paid[-1] == 0.0
    # The parts are told as the memory gave them.
    assert told[-1][1]["sparft/reward/exploit"] == 1.0


def test_a_resumed_run_watches_on_as_the_uninterrupted_one(paying):
    first, resumed = paying(fade=True), paying(fade=True)
    train(first, *[HEALTHY] * WINDOW, *[SHORT] * (WINDOW - 2))
    resumed.load_state_dict(first.state_dict())
    ours, theirs = (train(run, *[SHORT] * WINDOW) for run in (resumed, first))
    assert [paid for paid, _ in ours] == [paid for paid, _ in theirs]
    assert ours[0][0] < 1.0
    assert resumed.state_dict() == first.state_dict()


def test_the_state_is_of_this_version_and_has_its_keys_and_no_other(paying):
    run = paying()
    state = run.state_dict()
    assert (state["curriculum"], state["memory"]) == (None, {"header": "the memory"})
    assert json.loads(state["collapse"])["window"] == WINDOW
    with pytest.raises(SparftError, match="has version 1, this package reads 3"):
        run.load_state_dict({**state, "version": 1})
    with pytest.raises(SparftError, match=r"missing keys \['collapse'\] and unknown keys \['x'\]"):
        run.load_state_dict({**{k: v for k, v in state.items() if k != "collapse"}, "x": 1})


# Picks in flight


def start(**options):
    """A run of a curriculum over six prompts."""
    config = SparftConfig.from_mapping({"curriculum": {"name": "uniform"}, **options})
    return TrainingRun(config, PromptPool.of([Prompt(f"p{i}") for i in range(6)]), str)


def finish(run, *groups, lost=0):
    result = run.finish(groups, lost=lost)
    assert not result.terms
    return result.metrics


def bring(run, picks, in_flight):
    """Finish the groups of some picks; return how many came too late."""
    result = run.finish([group(0.5, pick) for pick in picks], in_flight=in_flight)
    return int(result.metrics.get("sparft/feedback/late", 0))


def ledger(run):
    """What is outstanding, and how many were observed and expired."""
    return (
        sorted(run.curriculum.outstanding),
        run.curriculum.ledger.observed,
        run.curriculum.ledger.expired,
    )


def test_picks_in_flight_stay_outstanding_and_may_come_late_and_out_of_order():
    run = start()
    picks = run.select(6)
    assert run.unanswered([group(0.5, pick) for pick in picks[:4]]) == {4, 5}
    assert bring(run, picks[4:], {0, 1, 2, 3}) == 0
    assert bring(run, [picks[2], picks[3]], {0, 1}) == 0
    assert ledger(run) == ([0, 1], 4, 0)
    # One that the host gave up expires, and counts as late if it comes.
    assert bring(run, picks[:1], set()) == 0
    assert ledger(run) == ([], 5, 1)
    assert bring(run, picks[1:2], set()) == 1
    assert ledger(run) == ([], 5, 1)


def test_where_the_host_drained_all_what_has_not_come_never_will():
    run = start()
    picks = run.select(3)
    bring(run, picks[:2], None)
    assert ledger(run) == ([], 2, 1)
    with pytest.raises(SparftError, match="pick 2 is not outstanding"):
        bring(run, picks[2:], None)


# Lost rollouts


def test_a_group_that_lost_a_rollout_is_no_evidence_and_its_pick_expires():
    run = start(max_incomplete=1.0)
    first, second, _ = run.select(3)
    metrics = finish(run, group(1.0, first), group(0.0, second, complete=False), lost=1)
    assert metrics["sparft/pass_rate"] == 1.0
    assert metrics["sparft/reward/outcome"] == 1.0
    assert metrics["sparft/feedback/incomplete"] == 2
    assert (run.curriculum.ledger.observed, run.curriculum.ledger.expired) == (1, 2)
    # A step of which nothing is left has no pass rate.
    metrics = finish(run, *(group(0.5, pick, complete=False) for pick in run.select(2)))
    assert metrics["sparft/feedback/incomplete"] == 2
    assert not {"sparft/pass_rate", "sparft/reward/outcome"} & metrics.keys()


def step(run, lost, groups=10):
    picks = run.select(groups)
    finish(run, *(group(0.5, pick) for pick in picks[lost:]), lost=lost)


def test_lost_groups_are_warned_of_once_and_stop_the_run_at_the_limit_of_twenty_steps(caplog):
    # 2 % of 20 steps of 10 groups are 4 of them.
    run = start()
    for lost in (3, 0, 1):
        step(run, lost)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert said.startswith("sparft: 3 of the step's 10 groups lost a rollout")
    with pytest.raises(SparftError, match=r"5 of the 40 groups .*sparft\.max_incomplete=0\.02"):
        step(run, 1)


def test_what_was_lost_longer_ago_than_twenty_steps_is_forgotten_and_at_zero_nothing_may_be():
    run = start()
    for lost in [4, *[0] * STEPS, 4]:
        step(run, lost)
    with pytest.raises(SparftError, match="5 of the 200 groups of the last 20 steps"):
        step(run, 1)
    run = start(max_incomplete=0)
    step(run, 0)
    with pytest.raises(SparftError, match="1 of the 20 groups"):
        step(run, 1)


# Evidence of two kinds


@pytest.mark.parametrize("at_once", [True, False])
def test_accuracies_of_two_kinds_are_refused_before_anything_is_learned(at_once):
    run = start()
    kinds = [frozenset({"acc"}), frozenset({"score"})]
    groups = [group(0.5, pick, sources=k) for pick, k in zip(run.select(2), kinds, strict=True)]
    if not at_once:
        run.finish(groups[:1], in_flight={groups[1].pick_id})
    with pytest.raises(SparftError, match="accuracy was read from acc and score"):
        finish(run, *groups[0 if at_once else 1 :])
    assert run.curriculum.ledger.observed == (0 if at_once else 1)


def test_a_worker_with_another_encoder_than_the_drivers_is_named():
    run = start(memory={"name": "memory_r", "encoder": "all-MiniLM-L6-v2"})
    own = run.remembering.embedder.identity
    with pytest.raises(SparftError, match=f"with other@1 and prompts with {own};"):
        finish(run, group(0.5, *run.select(1), encoders=frozenset({own, "other@1"})))


# Warnings


def test_a_warning_is_heard_once_whatever_the_root_logger_lets_through(monkeypatch, capsys):
    # As `logging.basicConfig(level=WARNING)` leaves it.
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.root, "handlers", [handler])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    monkeypatch.setattr(logging.getLogger("sparft_plugin"), "handlers", [])
    speak()
    speak()
    for level in (30, 40, 30):
        logging.root.setLevel(level)
        handler.setLevel(level)
        logging.getLogger("sparft_plugin.somewhere").warning("heard at %d", level)
        logging.getLogger("another").warning("another at %d", level)
        logging.getLogger("sparft_plugin.somewhere").info("said too much")
    lines = capsys.readouterr().err.splitlines()
    heard = [line.rsplit(" ", 1)[1] for line in lines if "heard at" in line]
    assert heard == ["30", "40", "30"]
    # What others say is none of our business.
    assert [line for line in lines if "another" in line] == ["another at 30"] * 2
    assert not any("said too much" in line for line in lines)
