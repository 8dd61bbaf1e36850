"""Defines the sources of the mixture, and how their raw files become documents. All sources are in one table,
``SOURCES``. This package does not use Beam.

    files -> reader.units -> units -> reader.read -> documents | Rejected | rows for a join -> steps

- ``source``: defines what a source is. Read it first.
- ``dedup_steps``: the dedups (steps that remove duplicates). They compare the documents of a source with each other.
- ``min_hash_step``: the near dedup that any source can have.
- ``passage_step``: the dedup that cuts long passages which several documents share.
- ``optional_steps``: the dedups that a configuration file can add to any source.
- ``across_step``: the dedup that compares a source with other sources and with earlier runs.
- One file or folder per source: see the table ``SOURCES`` below.
- ``formats``: file formats that several sources share.
- ``corpora``: sources that a configuration file declares.
- ``all_steps``: finds steps by the names that a configuration file lists.
- ``all_sources``: collects the sources of a run: those of the table, and those of the configuration file.

>>> [step.NAME for step in SOURCES["stack_exchange"].steps]
['duplicate_id', 'detect_language']
>>> SOURCES["books"].reader.knows("pg11.txt"), SOURCES["books"].reader.knows("pg11.epub")
(True, False)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.sources.source import Source

_MODULES = {
    "common_crawl": "pipeline.sources.common_crawl",
    "c4": "pipeline.sources.c4",
    "github": "pipeline.sources.github.reader",
    "wikipedia": "pipeline.sources.wikipedia.reader",
    "books": "pipeline.sources.books.reader",
    "arxiv": "pipeline.sources.arxiv.reader",
    "stack_exchange": "pipeline.sources.stack_exchange.reader",
}


class _Sources(Mapping[str, "Source"]):
    """Maps the name of a source to the source. The source's module is imported only when the source is looked up. So
    the command line can be checked quickly, because the check needs only the names.
    """

    def __getitem__(self, name: str) -> Source:
        source: Source = import_module(_MODULES[name]).SOURCE
        return source

    def __contains__(self, name: object) -> bool:
        return name in _MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


SOURCES: Mapping[str, Source] = _Sources()
"""The sources by name, in the order of the table in the LLaMA paper."""
