"""Makes the report of a run. The report is one HTML page that needs no network. This package also computes how many
documents other settings would keep, and compares runs.

    output folder -> output_state -> collect -> verdict, funnel, figures, page_documents -> build -> index.html
                                  \\-> set_option -> rejudge -> recount -> terminal      (--set)
                                  \\-> compare -> terminal, against -> build            (two folders)

- ``first_look``: checks a request before the other modules are imported.
- ``output_state``: reads the output of a run, whether it is complete or not.
- ``documents``: reads a bounded part of ``clean/`` and ``dropped/``.
- ``collect``: gathers the numbers and texts of one source.
- ``limits``: lists the limits of steps. A limit is compared with a signal (a number that a step measures for each
  document). ``nearest``: finds kept documents near a limit.
- ``passages``: finds the part of a text that decided whether the document was dropped or kept. ``run_models``: loads
  the run's models, which score passages.
- ``verdict``: summarises the run in sentences, which are called remarks. ``remark``: defines a remark.
  ``source_remarks``: makes the remarks about sources. ``model_remarks``: makes the remarks about models and the
  tokenizer. ``judged``: finds stages that judged no document, and scores that decided nothing.
- ``funnel``: computes what each stage kept and lost, by reason.
- ``explained``, ``reasons``: contain sentences about stages and reasons.
- ``figures``, ``charts``, ``run_tables``, ``page_documents``: make the remaining parts of the page. ``build``: joins
  all parts.
- ``near_dedups``: shows the documents that a near dedup removed.
- ``eval_sets``: makes a page for each evaluation set that the run searched for in the documents.
- ``failed``: writes the report of a run that failed.
- ``dataset_card``: writes the ``README.md`` of the output.
- ``set_option``, ``rejudge``, ``recount``: compute how many documents would be kept with changed settings. ``part_of``,
  ``token_counts``, ``amounts``: count documents and tokens by part of the mixture. ``recount_remarks``: makes lines
  that say which of these numbers are guessed.
- ``compare``, ``settings``, ``terminal``: compare two runs and their settings, and print to the terminal.
- ``against``: makes the section of the page that compares two runs.

The last step of the source ``books`` is a near dedup, which limits the overlap of a book with a kept book:

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
