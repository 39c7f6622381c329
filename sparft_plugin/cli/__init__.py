"""The ``sparft`` command line."""
