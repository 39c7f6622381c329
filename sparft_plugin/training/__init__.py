"""A training run without a host: what every host adapts to."""
