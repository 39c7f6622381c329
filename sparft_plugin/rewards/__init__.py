"""Verifiers and shapers: reward functions that verl calls by name, each with its parts beside."""
