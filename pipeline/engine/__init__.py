"""Contains our additions to Apache Beam.

    unit_list -> the graph of a job -> runner -> workers (worker, same_code)

- ``runner``: chooses the runner, and runs a job on this machine. ``beam_start``: saves work that Beam repeats.
- ``group_bytes``: groups bytes by key. A group may be larger than memory. All dedups, joins and shuffles use it.
- ``unit_list``: reads a list of units (pieces of the input) from a file. Such a list can be too large for the graph of
  a job.
- ``worker``: the program of a worker process. ``same_code``: checks that a remote worker has the code of the launcher
  (the process that started the run).
- ``boot``: starts a worker for an external engine where there is no Docker.
- ``notebook``: makes Beam run jobs in a notebook in the same way as in a script.
- ``known_failures``: explains errors for which Beam reports no cause.
- ``local_workers``, ``watched_connection``: start worker processes on this machine and watch them. If a worker dies,
  the run ends.

If no runner is named, the runner is the local one:

>>> from pipeline.engine.runner import is_local_runner
>>> is_local_runner(None), is_local_runner("DataflowRunner")
(True, False)
"""
