"""Runs a worker process of the local runner. It is Beam's own program with two changes: the worker ends when the run
ends, and it logs less.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

PARENT_VARIABLE = "RUN_PID"
"""The environment variable that contains the process id of the run."""
_LOOK_EVERY_SECONDS = 0.5


def main() -> None:
    """Runs the worker until the runner closes the connection or ends."""
    if PARENT_VARIABLE in os.environ:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main  # this takes seconds, so the thread above is started first

    from pipeline.engine.known_failures import without_known_tracebacks

    logging.disable(logging.INFO)
    logging.getLogger(sdk_worker_main.__name__).addFilter(_is_logged)
    with without_known_tracebacks():
        sdk_worker_main.main(sys.argv)


def _is_logged(record: logging.LogRecord) -> bool:
    return "semi_persistent_directory" not in str(record.msg)  # a local worker has no such directory and needs none


def _end_with_parent() -> None:
    """Ends this process when the run that started it has ended.

    Otherwise this process would wait for ever and keep its memory.
    """
    while os.getppid() == int(os.environ[PARENT_VARIABLE]):
        time.sleep(_LOOK_EVERY_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
