"""Builds the index of the evaluation sets, in which the clean phase looks up passages of documents.

The index is a file that all workers memory-map. It is built once, before the clean phase.
"""

from __future__ import annotations

from apache_beam.io.filesystems import FileSystems

from mixtures.decontaminate.read_sets import checksum_of
from mixtures.decontaminate.table import key_of, make_index, write_table
from pipeline.files.files import delete_tree, exists, join, written_whole
from pipeline.settings.settings import Settings


def eval_table(settings: Settings, work: str) -> str | None:
    """Builds the index of a run's evaluation sets, and returns its path. Returns None if the run has no evaluation
    sets.

    If the index already exists in the folder ``work``, it is used again. Its name contains a checksum of the sets'
    files and settings, so that changed sets get a new file. Older files are deleted.

    Raises:
        ValueError: a set cannot be read. The message names the set.
    """
    wanted = settings.decontamination
    if wanted is None:
        return None
    folder = join(work, "decontamination")
    path = join(folder, f"{key_of(wanted)[:32]}.evals")
    if exists(path):
        return path
    index = make_index(wanted)
    (older,) = FileSystems.match([join(folder, "*.evals")])
    for entry in older.metadata_list:
        delete_tree(entry.path)
    with written_whole(path) as sink:
        write_table(index, {one.name: checksum_of(one) for one in wanted.sets}, sink)
    return path
