"""Explains known failures of an engine in one line that says what to do."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from typing import TextIO, cast

HOW_TO_IMAGE = "build it with docker/Dockerfile and name it with --sdk_container_image=IMAGE (docs/cloud.md)"


LOST_WORKER = (
    "a worker process ended before its work was done (killed, or out of memory); nothing that looks whole is left: "
    "start the run again, with fewer workers if memory was the cause"
)
_OTHER_CODE = (
    "the workers do not run what was started here (their {0}): give the workers the same (build their image again, or "
    "update their environment)"
)
_KNOWN_FAILURES = (
    # An engine in Java waits for the data connection of a worker that cannot load a step, and does not tell its error.
    (re.compile(r"No client connected within timeout"),
     "a worker could not begin a step, most likely because it has other code than this run or does not see a folder of "
     "this run: look into the workers' logs (WORKER_LOG_DIR)"),
    # A worker of another version may lack what a step names. Then the check of its version (same_code) is not reached.
    (re.compile(r"Can't get attribute '(\w+)' on <module '((?:pipeline|filters|mixtures|tokenizer)[\w.]*)'"),
     _OTHER_CODE.replace("{0}", "{1} has no {0}")),
    (re.compile(r"No module named '((?:pipeline|filters|mixtures|tokenizer)\.[\w.]+)'"),
     _OTHER_CODE.replace("{0}", "package has no {0}")),
    (
        re.compile(r"No module named '(?:pipeline|filters|mixtures|tokenizer)"),
        "the workers do not have this package: " + HOW_TO_IMAGE + ", or --setup_file=./setup.py",
    ),
    (re.compile(r"(?:StaleWorker|NotShared): ([^\n\\]+)"), "{0}"),
    (re.compile(r"(?:FileNotFoundError|PermissionError|IsADirectoryError): \[Errno \d+\] ([^:\n]+): '([^'\n]+)'"),
     "{1} cannot be read ({0}), though it could when the run started: put it back, then run the same command again"),
    (re.compile(r"(\[Errno (?:28|122)\] [^\n\\:]+)"),
     "{0}: free some space where --output and --temp_location are, and in the temporary folder (TMPDIR) of each "
     "worker, then run the same command again"),
    (re.compile(r"java\.io\.(?:IOException|UncheckedIOException): [^\n]*?No space left on device"),
     "No space left on device: free some space in the engine's local folders (io.tmp.dirs of Flink, SPARK_LOCAL_DIRS), "
     "then run the same command again"),
    (re.compile(r"(?:DamagedFile|StoreError): ([^\n\\]+)"), "{0}"),
    (re.compile(r"((?:/|gs://|s3://)\S+: (?:no such file|a worker cannot read|its checksum is|"
                r"[\d.]+ GB do not fit)[^\n\\]*)"),
     "a worker cannot open a model: {0}"),
    (re.compile(r"(ImagePullBackOff|ErrImagePull|manifest unknown|failed to pull image[^\n]*)"),
     "the worker image cannot be pulled ({0}): check its name, and that the workers' account may read it"),
    (re.compile(r"(?:ZONE_RESOURCE_POOL_EXHAUSTED|QUOTA_EXCEEDED|quota '[A-Z_]+' exceeded)[^\n]*", re.I),
     "the region has no machines left for this project: lower --max_num_workers, or take another --region"),
    (re.compile(r"Unable to fetch remote job server jar at (\S+?):? "),
     "Beam's job server cannot be downloaded from {0}: fetch it elsewhere, and name it with "
     "--flink_job_server_jar=FILE or --spark_job_server_jar=FILE"),
    (re.compile(r"Process died with exit code 137"),
     "a worker was killed, most likely because its host had no memory left: use fewer workers, or hosts with more "
     "memory, then run the same command again"),
    (re.compile(r"Process died with exit code (\d+)"),
     "a worker ended as soon as it was started, with status {0}: on a worker's host, call the command of "
     "--environment_config with --id=1 and read what it prints (PYTHON must name a Python that has this package)"),
    (re.compile(r"java\.io\.IOException: error=\d+, ([^\n]+)"),
     "a worker's host cannot start the command of --environment_config ({0}): it must be a program that has the same "
     "path on every host"),
    (re.compile(r"All masters are unresponsive|Master removed our application|stopped SparkContext|"
                r'SparkContext\.\w+\(\)" is null'),
     "Spark's master does not answer the job server, or stopped the job: see that the master and its workers run, and "
     "what their logs say, then run the same command again"),
    (re.compile(r"Insufficient number of network buffers"),
     "Flink has too little network memory for the exchanges of this graph: set "
     "taskmanager.network.sort-shuffle.min-buffers: 64 and taskmanager.memory.network.min: 512m (docs/cloud.md)"),
    (re.compile(r"(?:Too little memory provided to sorter|requires at least \d+ memory buffers|"
                r"MemoryAllocationException: )[^\n]*"),
     "Flink has too little managed memory for the sorts of this graph: raise taskmanager.memory.managed.size "
     "(300m per TaskManager is enough for two slots), then run the same command again"),
    (re.compile(r"NoResourceAvailableException|Could not acquire the minimum required resources|"
                r"TimeoutException: Timeout has occurred: \d+ ms"),
     "Flink has too few free slots: see that the TaskManagers run and have registered, and that they have as many free "
     "slots as --parallelism, then run the same command again"),
    (re.compile(r"OutOfMemoryError: (Java heap space|Metaspace|Direct buffer memory|GC overhead limit exceeded)"),
     "a Java process of the engine has no memory left ({0}): give the TaskManagers or executors more, then run the "
     "same command again"),
    (re.compile(r"TaskManager with id (\S+) (?:timed out|is no longer reachable)"),
     "Flink lost the TaskManager {0}, and its restart strategy allows no more attempts: each lost task counts as one "
     "(docs/cloud.md); run the same command again"),
    (re.compile(r"Could not complete the operation\. Number of retries|Failed to submit JobGraph|"
                r"ConnectException: Connection refused|FlinkJobNotFoundException|Could not find Flink job"),
     "Flink's JobManager does not answer the job server, or was started anew and has lost the job: see that it runs, "
     "then run the same command again"),
    (re.compile(r"Service failed to start up with error (\S+)"),
     "Beam's job server ended as soon as it was started, with status {0}: start it by hand with java -jar, read what "
     "it prints, and then name it with --job_endpoint=HOST:PORT"),
    (re.compile(r"failed to connect to all addresses; last error: \w+: (?:ipv[46]:)?([^\s\\]+):"),
     "a worker pool or the job service at {0} was lost: see that it runs, then run the same command again"),
    (re.compile(r"Channel closed prematurely|Worker subprocess exited|worker process exited|Lost worker", re.I),
     LOST_WORKER),
)  # fmt: skip


def explained(error: BaseException) -> str | None:
    """Returns one line with the cause of a known failure and what to do about it; None if the failure is not known."""
    text = f"{type(error).__name__}: {error}"
    for pattern, words in _KNOWN_FAILURES:
        if found := pattern.search(text):
            return words.format(*(group.split(" [while running")[0] for group in found.groups()))
    return None


@contextlib.contextmanager
def without_known_tracebacks() -> Iterator[None]:
    """Inside the ``with`` block, hides the tracebacks that Beam logs and prints for known failures.

    Instead of a traceback, the run reports such a failure in one line.
    """
    loggers = [logging.getLogger(f"apache_beam.runners.{module}") for module in ("common", "worker.sdk_worker")]
    loggers.append(logging.getLogger())  # what a job server reports, which the error repeats
    for logger in loggers:
        logger.addFilter(_is_unknown)
    try:
        with contextlib.redirect_stderr(cast(TextIO, _OtherText(sys.stderr))):
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_unknown)


def _is_unknown(record: logging.LogRecord) -> bool:
    return explained(RuntimeError(record.getMessage())) is None


class _OtherText:
    """Wraps stderr. Passes on everything except the tracebacks of known failures."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text, unless it is the traceback of a known failure. Returns the length of the text, even if it
        was not written.
        """
        is_hidden = text.startswith("Traceback ") and explained(RuntimeError(text)) is not None
        return len(text) if is_hidden else self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
