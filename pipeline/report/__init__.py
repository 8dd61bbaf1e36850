"""The report of a run: one HTML file that opens with no network; recounts under other settings; two runs compared."""

from __future__ import annotations

__all__ = ["write_report"]


def write_report(output: str) -> str:
    """Builds the report of a run. Returns its path. See :func:`pipeline.report.build.write_report`."""
    from pipeline.report.build import write_report as build  # matplotlib is loaded only to draw

    return build(output)
