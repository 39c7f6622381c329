"""Difficulty of each prompt in [0, 1], 0 = always solved: measured, read, put on one scale."""
