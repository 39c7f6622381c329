"""What a run or a reduction did, for people: tables, pictures and a page."""

from sparft_plugin.report.metrics import Step, read_metrics
from sparft_plugin.report.run import draw, table

__all__ = ["Step", "draw", "read_metrics", "table"]
