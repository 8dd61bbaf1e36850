"""How documents flow. Apache Beam lives in this package and nowhere else."""

import logging


def _is_told(record: logging.LogRecord) -> bool:
    # Beam says at every import that it has no BigQuery client, which nothing here asks it for.
    return not str(record.msg).startswith("apitools not found")


logging.getLogger().addFilter(_is_told)
