"""Defines how raw files become documents: all sources, in one explicit table. This package does not use Beam.

    files -> reader.units -> units -> reader.read -> documents | Rejected | rows for a join -> steps

- ``source``: defines what a source is. Read it first.
- ``dedup_steps``: the steps that need all documents of a source.
- ``min_hash_step``: the near dedup that any source can have.
- One file or folder per source: see the table ``SOURCES`` below.
- ``formats``: file formats that several sources share.
- ``corpora``: sources that a configuration file declares.
- ``all_steps``: every step by name. A configuration file lists steps by these names.
- ``all_sources``: the sources of a run: those in the table, and those that a configuration file declares.

>>> [step.NAME for step in SOURCES["stack_exchange"].steps]
['duplicate_id', 'detect_language']
>>> SOURCES["books"].reader.knows("pg11.txt"), SOURCES["books"].reader.knows("pg11.epub")
(True, False)
"""

from __future__ import annotations

from pipeline.sources.arxiv.reader import SOURCE as ARXIV
from pipeline.sources.books.reader import SOURCE as BOOKS
from pipeline.sources.c4 import SOURCE as C4
from pipeline.sources.common_crawl import SOURCE as COMMON_CRAWL
from pipeline.sources.github.reader import SOURCE as GITHUB
from pipeline.sources.source import Source
from pipeline.sources.stack_exchange.reader import SOURCE as STACK_EXCHANGE
from pipeline.sources.wikipedia.reader import SOURCE as WIKIPEDIA

SOURCES: dict[str, Source] = {
    source.name: source for source in (COMMON_CRAWL, C4, GITHUB, WIKIPEDIA, BOOKS, ARXIV, STACK_EXCHANGE)
}
"""The sources by name, in the order of the paper's table."""
