"""The report of a run: one HTML page that needs no network. Also recounts under other settings, and comparisons.

    output folder -> output_state -> collect -> verdict, funnel, figures, page_documents -> build -> index.html
                                  \\-> set_option -> rejudge -> recount -> terminal      (--set)
                                  \\-> compare -> terminal, against -> build            (two folders)

- ``output_state``: reads what a run left, complete or not.
- ``documents``: reads a bounded part of ``clean/`` and ``dropped/``.
- ``collect``: gathers the numbers and texts of one source.
- ``limits``: the limits of steps on signals. ``nearest``: kept documents near a limit.
- ``passages``: the part of a text that decided. ``run_models``: the run's models, which score passages.
- ``verdict``: what a reader wants to know first, in words. ``funnel``: what each stage kept and lost, by reason.
- ``explained``, ``reasons``: sentences about stages and reasons.
- ``figures``, ``charts``, ``run_tables``, ``page_documents``: more parts of the page. ``build``: puts them together.
- ``near_dedups``: what a near dedup removed.
- ``eval_sets``: a page per evaluation set that the documents were searched for.
- ``dataset_card``: the ``README.md`` of the output.
- ``set_option``, ``rejudge``, ``recount``: what would be kept under other settings.
- ``compare``, ``settings``, ``terminal``: two runs side by side, their settings, and output for the terminal.
- ``against``: the section of the page that compares two runs.

>>> from pipeline.report.limits import limits_of
>>> from pipeline.sources import SOURCES
>>> [limit.label for step in SOURCES["books"].steps for limit in limits_of(step, {})][-1]
'near_duplicate > 0.9'
"""

from __future__ import annotations

__all__ = ["write_report"]


def write_report(output: str) -> str:
    """Builds the report of a run. Returns its path. See :func:`pipeline.report.build.write_report`."""
    from pipeline.report.build import write_report as build  # matplotlib is loaded only to draw

    return build(output)
