"""The sources, in one table. Nothing registers itself on import.

A source is a value of :class:`pipeline.sources.source.Source`: how its files are read, and the steps that its documents
pass. Nothing here imports Beam, so a source can be read in a test or at the prompt.

    source.py        what a source is
    dedup_steps.py   the dedups as values; pipeline/clean/dedup runs them
    formats/         file formats that sources share: WARC, gzip, bzip2, JSON lines, lists of paths
    c4.py, books/    one file or folder per source; reader.py is the source, the other files are its parts

>>> SOURCES["books"].reader.knows("pg2701.txt")
True
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
"""The sources by name, in the order of the table of the paper."""
