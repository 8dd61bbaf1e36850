"""Turns raw files into shards with Apache Beam. This is the only package that uses Beam.

    raw files -> clean -> clean/, dropped/, stats/ -> tokenize -> token files -> mix -> shards/, manifest.json

The parts of a run, from the command line to the report:

- ``run``: the command, ``python -m pipeline.run``. ``cli``: all commands as one, ``llama-mixture``.
- ``settings``: converts flags and YAML files to one validated object.
- ``preflight``: before anything starts, refuses requests that cannot work.
- ``phases``: runs the phases in order and skips complete ones.
- ``graph``: lists all Beam jobs of a run. ``run_job``: runs one job. ``failures``: the errors that end a run.
- ``sources``: define how raw files become documents, and the steps of each source. The sources do not use Beam.
- ``clean``, ``tokenize``, ``mix``: the three phases.
- ``report``: makes the report page and the dataset card, and computes how many documents other settings would keep.

Shared by these parts:

- ``engine``: our additions to Beam. ``files``: local files, object stores, web servers, spill files.
- ``models``: finds, loads, fetches and trains models. ``output``: the output folder. ``progress``: shows progress.

Other commands:

- ``schema``: the JSON Schema of configuration files.
- ``explain``: prints what a run will do with a source. ``estimate``: prints what a run would cost.
- ``scale``: computes what the paper's mixture costs. ``job_service``: runs on several hosts without a cluster.

>>> from pipeline.sources import SOURCES
>>> [step.NAME for step in SOURCES["arxiv"].steps]
['latex', 'detect_language', 'duplicate_id']
"""

import logging


def _is_told(record: logging.LogRecord) -> bool:
    # At every import Beam logs that it has no BigQuery client. The pipeline does not need such a client.
    return not str(record.msg).startswith("apitools not found")


logging.getLogger().addFilter(_is_told)
