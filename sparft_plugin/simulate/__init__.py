"""Curricula compared without a model: simulated learners and replayed logs."""

from sparft_plugin.simulate.compare import Comparison, Method, compare
from sparft_plugin.simulate.learner import SCENARIOS, Learner, Scenario
from sparft_plugin.simulate.replay import Replay
from sparft_plugin.simulate.run import Trace, World, simulate

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
