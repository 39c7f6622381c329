"""Angle scores: how much the hidden states of a prompt's tokens point one way."""

from sparft_plugin.angles.log import AngleLog
from sparft_plugin.angles.measure import measure_angles
from sparft_plugin.angles.prefill import Angle, Prefill, Tokens, TooLong

__all__ = ["Angle", "AngleLog", "Prefill", "Tokens", "TooLong", "measure_angles"]
