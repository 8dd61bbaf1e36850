"""A worker process of the local runner: Beam's own, with this package imported first, and without its chatter."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from apache_beam.runners.worker import sdk_worker_main

_LOOK_EVERY_SECONDS = 0.5


def _is_told(record: logging.LogRecord) -> bool:
    return "semi_persistent_directory" not in str(record.msg)  # a local worker has none, and needs none


def _end_with_parent() -> None:
    """Ends this process when the run that started it is gone: it would wait, and hold its memory, for ever."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logging.disable(logging.INFO)
    logging.getLogger(sdk_worker_main.__name__).addFilter(_is_told)
    sdk_worker_main.main(sys.argv)
