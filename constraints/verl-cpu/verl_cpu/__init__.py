"""verl's whole trainer without a GPU, for tests, recipes and first steps with tiny models."""
