"""The report of a run: one HTML file that opens with no network."""

from pipeline.report.build import write_report

__all__ = ["write_report"]
