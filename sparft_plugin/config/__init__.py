"""Hydra's group ``sparft`` and its validated form."""
