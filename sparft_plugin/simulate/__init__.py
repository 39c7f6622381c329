"""Curricula compared without a model: simulated learners, small policies and replayed logs."""

from sparft_plugin.simulate.compare import SCENARIOS, Comparison, Method, compare, rank
from sparft_plugin.simulate.learner import Learner, Scenario
from sparft_plugin.simulate.policy import Policy, PolicyScenario
from sparft_plugin.simulate.replay import Replay
from sparft_plugin.simulate.run import Setting, Trace, World, simulate

__all__ = [
    "SCENARIOS",
    "Comparison",
    "Learner",
    "Method",
    "Policy",
    "PolicyScenario",
    "Replay",
    "Scenario",
    "Setting",
    "Trace",
    "World",
    "compare",
    "rank",
    "simulate",
]
