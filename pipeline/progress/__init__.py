"""Shows the progress of a run, and a table when it ends.

    workers -> ticks: small files -> display: table, or lines in a log
    output folder -> closing_table; run_record, worker_time -> .work/run.json -> report

- ``ticks``: workers append their progress to files, and the driver (the process that started the run) adds up the
  numbers.
- ``work``: the amount of work of each stage. ``display``: shows how much of the work is done.
- ``log_file``: writes the file of ``--log-file``.
- ``closing_table``: the table at the end of a run.
- ``run_record``: stores settings, times and memory for the report. ``worker_time``: seconds of work per stage.

Three million bytes in two seconds are 1.5 MB per second:

>>> from pipeline.progress.ticks import rate
>>> rate(3_000_000, 2.0)
1.5
"""
