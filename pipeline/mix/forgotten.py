"""Refuses a new mixture if it would contain documents that ``mixtures.forget`` removed from earlier shards."""

from __future__ import annotations

from collections.abc import Iterable

from apache_beam.io.filesystems import FileSystems

from mixtures.forget.removal import FOLDER
from pipeline.files.files import join, read_bytes
from pipeline.models.load import load


def check_forgotten(folders: Iterable[str | None], exclude: str | None) -> None:
    """Checks that the exclusion list names all documents that ``mixtures.forget`` removed from earlier shards.

    The texts of forgotten documents are still in ``clean/``. Without the list, a new mixture would contain them again.

    Args:
        folders: the output folders with the earlier shards. The new mixture uses their clean documents, continues their
            mixture, or replaces it.
        exclude: the file of ``--exclude``.

    Raises:
        ValueError: the exclusion list lacks a forgotten document.
    """
    entries: frozenset[str] = load("exclude", exclude) if exclude else frozenset()
    for folder in dict.fromkeys(folder for folder in folders if folder):
        lists = sorted(found.path for found in FileSystems.match([join(folder, FOLDER, "*.txt")])[0].metadata_list)
        ids = {line for path in lists for line in read_bytes(path).decode().split("\n") if line}
        missing = sorted(ids - entries)
        if missing:
            raise ValueError(
                f"{len(missing):,} documents that mixtures.forget took out of {folder} would be in the new shards, "
                f"{missing[0]} for example: add the ids in {join(folder, FOLDER)}/ to a file and give it with "
                "--exclude, or delete that folder to have them back"
            )
