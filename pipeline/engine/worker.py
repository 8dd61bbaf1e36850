"""Runs a worker process. The local runner starts it, or :mod:`pipeline.engine.boot` starts it for another engine.

It is Beam's own program with four changes. A worker of the local runner ends when the run ends. Every worker logs less,
asks the runner less often for signs of life, and inspects each class of DoFns once (:mod:`pipeline.engine.beam_start`).
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
KEEPALIVE_MS = 600_000


def main() -> None:
    """Runs the worker until the runner closes the connection or ends."""
    if PARENT_VARIABLE in os.environ:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main  # this takes seconds, so the thread above is started first

    from pipeline.engine.beam_start import inspect_each_class_once
    from pipeline.engine.known_failures import without_known_tracebacks

    inspect_each_class_once()
    ask_rarely_whether_the_runner_lives()
    logging.disable(logging.INFO)
    logging.getLogger(sdk_worker_main.__name__).addFilter(_is_logged)
    with without_known_tracebacks():
        sdk_worker_main.main(sys.argv)


def ask_rarely_whether_the_runner_lives() -> None:
    """Makes Beam's connections to the runner ask for signs of life every ten minutes, not every 20 seconds.

    The local runner's server for log records allows such a request only every five minutes (gRPC's default). If a
    worker is busy for minutes and logs nothing, a request every 20 seconds is too often: the server closes the
    connection, and the worker prints an error. On the same machine, few requests are enough, because a worker ends when
    its parent ends.
    """
    from apache_beam.runners.worker.channel_factory import GRPCChannelFactory

    GRPCChannelFactory.DEFAULT_OPTIONS = [
        (name, KEEPALIVE_MS if name == "grpc.keepalive_time_ms" else value)
        for name, value in GRPCChannelFactory.DEFAULT_OPTIONS
    ]


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
