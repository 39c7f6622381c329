"""Curricula compared without a model: simulated learners and replayed logs."""

from sparft_plugin.simulate.compare import Comparison, compare
from sparft_plugin.simulate.learner import Learner
from sparft_plugin.simulate.method import Method
from sparft_plugin.simulate.replay import Replay
from sparft_plugin.simulate.run import Trace, World, simulate
from sparft_plugin.simulate.scenarios import SCENARIOS, Scenario

__all__ = [
    "SCENARIOS",
    "Comparison",
    "Learner",
    "Method",
    "Replay",
    "Scenario",
    "Trace",
    "World",
    "compare",
    "simulate",
]
