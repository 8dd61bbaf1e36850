"""Checks the output folder before a run, and locks it so that no second run writes to it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from pipeline.files.files import create_file, delete_tree, is_local, join, read_bytes, write_bytes
from pipeline.output.paths import Layout

T = TypeVar("T")

_PROBE = "probe-"
_MOST_TRIES = 100
"""The number of tries to write a file below ``.work``. A refused run may delete this folder during a try, so that the
try fails. If all tries fail, the reason is a different one."""
_WRITTEN = frozenset(
    (
        "clean",
        "dedup",
        "decontamination",
        "forgotten",
        "index",
        "dropped",
        "stats",
        "shards",
        "validation",
        "report",
        "manifest.json",
        "tokenizer.model",
        "tokenizer.json",
        "tokenizer.tiktoken",
        "README.md",
    )
)


def _is_of_a_run(output: str) -> bool:
    """True if a run wrote this folder, although the folder has no ``.work``.

    Every run makes a folder ``.work``. If the user deleted ``.work``, a new run may still write into the output folder.
    It starts from the beginning.
    """
    try:
        manifest = json.loads(read_bytes(join(output, "manifest.json")))
    except (OSError, ValueError):
        manifest = None
    stats = [name.removesuffix(".json") for name in _names(join(output, "stats"))]
    return (isinstance(manifest, dict) and "format" in manifest) or bool(
        set(stats) & set(_names(join(output, "clean")))
    )


def _names(folder: str) -> list[str]:
    """Returns the names in a folder; an empty list if there is no folder, for example because a refused run has just
    deleted it.
    """
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _repeated(action: Callable[[], T]) -> T:
    """Calls a function that writes below ``.work``, again if a run that was refused deletes this folder meanwhile.

    Raises:
        FileNotFoundError: the folder was missing each time, so another run is not the reason.
    """
    for _ in range(_MOST_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            return action()
    return action()


def check_output(output: str) -> None:
    """Checks that the output folder is new, empty, or the output of a run. Writes nothing.

    Raises:
        ValueError: the folder contains files that are not from a run, and a run could overwrite them; or the name of
            the folder contains ``*``, ``?`` or ``[``.
    """
    if any(mark in output for mark in "*?["):
        raise ValueError(f"--output {output}: '*', '?' and '[' stand for patterns; name a folder without them")
    if is_local(output) and os.path.isdir(output) and not os.path.isdir(join(output, ".work")):
        names = set(_names(output)) - {".work"}  # another run may have made it in this moment
        others = sorted(names - _WRITTEN)
        if others or (names and not _is_of_a_run(output)):
            named = ", ".join(others[:3]) or "there is no manifest"
            raise ValueError(
                f"--output {output}: the folder holds files that no run wrote ({named}); name one that is empty or new"
            )


def check_writable(output: str) -> None:
    """Checks that the output folder can be written, by writing a file and deleting it.

    Raises:
        ValueError: the folder cannot be written, or :func:`check_output` refuses it.
    """
    check_output(output)
    probe = join(output, ".work", f"{_PROBE}{uuid.uuid4().hex}")

    def write() -> None:
        write_bytes(probe, b"probe")  # not empty, because Beam cannot write an empty file to s3://
        delete_tree(probe)

    try:
        _repeated(write)
    except OSError as error:
        raise ValueError(f"--output {output} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def only_run(layout: Layout) -> Iterator[None]:
    """Checks that the output folder can be written, and locks it against a second run on this machine. A second run
    would delete the spill files of this run. A folder in a store is not locked.

    The lock is a file in the output folder. If the request is refused before any work is done, this function deletes
    what the run made: the lock, and the output folder if it is new.

    Raises:
        ValueError: a second run has locked the folder, or :func:`check_writable` refuses it.
    """
    if not is_local(layout.output):
        check_writable(layout.output)
        yield
        return
    before = _Before.of(layout.output)
    try:
        check_writable(layout.output)
        with _locked(layout):
            try:
                yield
            except ValueError:
                before.restore()  # while the lock is held, so that no other run has begun in the folder
                raise
    except ValueError:
        before.remove_empty_folders()
        raise


@contextlib.contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Holds the lock of an output folder."""
    path = join(layout.work, "lock")
    while True:
        with _repeated(lambda: create_file(path)) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(
                    f"--output {layout.output}: another run writes to it; wait for its end, or name another folder"
                ) from error
            if not _is_file(lock, path):
                continue  # a run that was refused has deleted the file since it was opened, so its lock locks nothing
            yield
            return


def _is_file(file: BinaryIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class _Before:
    """Remembers the names in an output folder before a run. If the run is refused, deletes what the run has made."""

    output: str
    names: frozenset[str] | None
    """The names in the folder. None if there was no folder, or if another run had just begun in it: then the folder had
    only ``.work``, with at most a lock and probes (files that :func:`check_writable` writes)."""
    parent: str
    """The deepest folder above the output that existed."""

    @classmethod
    def of(cls, output: str) -> _Before:
        parent = os.path.dirname(os.path.abspath(output))
        while not os.path.isdir(parent):
            parent = os.path.dirname(parent)
        names = _names(output)
        is_begun = names == [".work"] and all(
            name == "lock" or name.startswith(_PROBE) for name in _names(join(output, ".work"))
        )
        is_new = not os.path.isdir(output) or is_begun
        return cls(output, None if is_new else frozenset(names), parent)

    def restore(self) -> None:
        """Deletes the folder ``.work`` if the run has made nothing else in the output folder and has completed no step.

        If another run has already made a file in ``.work``, the folder stays.
        """
        work = join(self.output, ".work")
        made = frozenset(_names(self.output)) - (self.names or frozenset())
        if made != {".work"} or _names(join(work, "steps")):
            return
        with contextlib.suppress(OSError):
            for name in set(_names(work)) - {"lock"}:
                delete_tree(join(work, name))
            delete_tree(join(work, "lock"))  # last, because another run can begin as soon as the lock is gone
            os.rmdir(work)

    def remove_empty_folders(self) -> None:
        """Removes empty folders that the run has made: the output folder, and folders above the output folder."""
        folder = os.path.abspath(self.output)
        if self.names is not None:
            return
        with contextlib.suppress(OSError):  # a folder that is not empty, or that another refused run has removed
            while folder != self.parent:
                os.rmdir(folder)
                folder = os.path.dirname(folder)


def check_is_output(output: str | None, flag: str) -> None:
    """Raises ValueError if ``output`` is on this machine and is not the output of a run. ``flag`` is the flag by which
    the user gave this folder.
    """
    if output is not None and is_local(output) and not os.path.isdir(join(output, ".work")):
        raise ValueError(f"{flag} {output}: there is no output of a run")


@contextlib.contextmanager
def reading(output: str | None, flag: str = "--from") -> Iterator[None]:
    """Locks the output of an earlier run against runs that would write to it. Several runs can read the output at the
    same time.

    Raises:
        ValueError: a run writes to the folder, or there is no output of a run.
    """
    if output is None or not is_local(output):
        yield
        return
    check_is_output(output, flag)
    path = join(output, ".work", "lock")
    with _repeated(lambda: create_file(path) if not os.path.exists(path) else open(path, "rb")) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"{flag} {output}: another run writes to it; wait for its end") from error
        yield


@contextlib.contextmanager
def reading_all(outputs: Iterable[str], flag: str) -> Iterator[None]:
    """Locks several outputs like :func:`reading`. ``flag`` is the user's setting that lists the outputs, for error
    messages.
    """
    with contextlib.ExitStack() as stack:
        for output in outputs:
            stack.enter_context(reading(output, flag))
        yield
