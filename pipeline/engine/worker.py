"""A worker process of the local runner: Beam's own, with this package imported first, and without its chatter."""

from __future__ import annotations

import logging
import sys

from apache_beam.runners.worker import sdk_worker_main


def _is_told(record: logging.LogRecord) -> bool:
    return "semi_persistent_directory" not in str(record.msg)  # a local worker has none, and needs none


if __name__ == "__main__":
    logging.disable(logging.INFO)
    logging.getLogger(sdk_worker_main.__name__).addFilter(_is_told)
    sdk_worker_main.main(sys.argv)
