"""Copies clean documents from the output of another run, if this run would make the same documents.

So if a user changes one setting, only the sources that the setting affects are cleaned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apache_beam.io.filesystems import FileSystems

from pipeline.clean.evidence import leaves_evidence
from pipeline.clean.phase import is_complete
from pipeline.clean.prepared_source import PreparedSource
from pipeline.files.files import copy_file, delete_tree, exists, join
from pipeline.output.markers import read_marker, write_marker
from pipeline.output.paths import Layout


def reuse(prepared: Iterable[PreparedSource], layout: Layout, folder: str) -> list[str]:
    """Copies the documents of the sources that are complete in the other output but not in this one. Returns the names
    of the copied sources.

    A source is copied only if its fingerprint is the same. The fingerprint covers the input files, the settings and
    data versions of the reader and of all steps, and the models. If both outputs are on one file system, the copies are
    hard links, which need no space.

    Args:
        folder: the output of the other run. Nothing is written into it.
    """
    other = Layout(folder)
    names = []
    for one in prepared:
        if is_complete(one, layout) or not is_complete(one, other):
            continue
        name = one.source.name
        step = f"clean-{name}"
        for path in (layout.manifest, layout.marker(step), layout.stats(name)):  # nothing half copied looks complete
            delete_tree(path)
        folders = [(other.clean(name), layout.clean(name)), (other.dropped(name), layout.dropped(name))]
        folders += [(other.hits(name), layout.hits(name))] if leaves_evidence(one.source) else []
        folders += [(other.index(name), layout.index(name))] if one.across is not None else []
        folders += [(other.keys(name, dump.name), layout.keys(name, dump.name)) for dump in one.dumps]
        for source, target in folders:
            delete_tree(target)
            _copy_below(source, target)
        for label in (name, *(f"{name}@{dump.name}" for dump in one.dumps)):
            _copy_matches(other.pair_files(label), other.dedup, layout.dedup)
        copy_file(other.stats(name), layout.stats(name))
        for dump in one.dumps:
            _copy_marker(other, layout, f"{step}@{dump.name}")
        _copy_marker(other, layout, step)
        names.append(name)
    return names


def _copy_marker(other: Layout, layout: Layout, step: str) -> None:
    marker = read_marker(other.marker(step))
    if marker is not None:
        write_marker(layout.marker(step), marker)


def _copy_below(source: str, target: str) -> None:
    if exists(source):
        _copy_matches([join(source, "**")], source, target)


def _copy_matches(globs: Sequence[str], source: str, target: str) -> None:
    for match in FileSystems.match(list(globs)):
        for entry in match.metadata_list:
            copy_file(entry.path, join(target, entry.path[len(source) :].lstrip("/")))
