"""What a run did, for people: read verl's logged metrics, tabulate and draw them."""

from sparft_plugin.report.metrics import Step, read_metrics
from sparft_plugin.report.picture import draw
from sparft_plugin.report.table import table

__all__ = ["Step", "draw", "read_metrics", "table"]
