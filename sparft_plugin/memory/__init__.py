"""Episodic memory: an intrinsic reward from past successes and failures."""
