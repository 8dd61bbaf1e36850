"""Makes temporary folders for training. They are made inside the folder of models, because its disk is large enough."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tokenizer.interrupts import at_end, delete_at_end


class TrainingFailed(Exception):  # noqa: N818 - the name says what happened
    """Raised if a program or a library that trains a model failed. The message has the output of the program or
    library."""


@contextlib.contextmanager
def scratch_folder(models: Path, name: str) -> Iterator[Path]:
    """Makes an empty folder, yields its path, and deletes the folder at the end, also after an interrupt.

    If a killed run has left the folder, the folder is deleted first.
    """
    folder = models / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    delete_at_end(name, str(folder))
    try:
        yield folder
    finally:
        at_end(name, None)
        shutil.rmtree(folder, ignore_errors=True)
