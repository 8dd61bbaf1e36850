"""Drops pages whose host or address is on a blocklist.

The blocklists are those of UT1 (Université Toulouse Capitole), in the format in which UT1 publishes them. A list is a
folder named after a category, with the files ``domains`` and ``urls``, one entry per line. No list ships with the
package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from filters.step import Models, Outcome, Step
from filters.urls import url_key

_COMMENT = "#"


@dataclass(frozen=True, slots=True)
class UrlEntries:
    """Holds the entries of one category of a blocklist. Each entry is stored as a hash of 8 bytes, because a list can
    have millions of entries.
    """

    domains: npt.NDArray[np.uint64]
    urls: npt.NDArray[np.uint64]

    @staticmethod
    def of(domains: Iterable[str], urls: Iterable[str]) -> UrlEntries:
        """Makes the entries from the lines of the files ``domains`` and ``urls``. Either file may be empty.

        >>> entries = UrlEntries.of(["example.com"], ["host.org/bad/"])
        >>> entries.matched("http://news.example.com/1"), entries.matched("https://host.org/bad/page")
        ('example.com', 'host.org/bad')
        >>> entries.matched("https://host.org/good"), entries.matched("https://notexample.com")
        (None, None)
        """
        return UrlEntries(_hashes(domains), _hashes(urls))

    def matched(self, url: str) -> str | None:
        """Returns the entry that matches an address, or None if there is none.

        An entry of the file ``domains`` matches if it is the address's host or a parent domain of this host. An entry
        of the file ``urls`` matches if it is the address itself, the address without its query, or a parent folder of
        the address.
        """
        key = url_key(url)
        if not key:
            return None
        host = key.partition("/")[0].partition("?")[0].partition(":")[0]
        names = list(_domains_of(host))
        found = _first_in(self.domains, names)
        return found or (_first_in(self.urls, list(_paths_of(key))) if len(self.urls) else None)


def _hashes(lines: Iterable[str]) -> npt.NDArray[np.uint64]:
    entries = (line.split(_COMMENT, 1)[0].strip() for line in lines)
    keys = (url_key(entry if "://" in entry else f"http://{entry}") for entry in entries if entry)
    return np.unique(np.fromiter((xxhash.xxh3_64_intdigest(key.encode()) for key in keys if key), np.uint64))


def _domains_of(host: str) -> Iterator[str]:
    while host:
        yield host
        host = host.partition(".")[2]


def _paths_of(key: str) -> Iterator[str]:
    """Yields the key of an address, the key without its query, and the keys of its parent folders: ``a.org/b/c``, then
    ``a.org/b``."""
    yield key
    path = key.partition("?")[0]
    while "/" in path:
        yield path
        path = path.rpartition("/")[0]


def _first_in(hashes: npt.NDArray[np.uint64], names: list[str]) -> str | None:
    if not len(hashes):
        return None
    wanted = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names], np.uint64)
    at = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
    found = np.flatnonzero(hashes[at] == wanted)
    return names[found[0]] if len(found) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlList(Step):
    """Drops a page if its host or address is on the blocklist of one of the ``categories``.

    The lists are files in the run's folder of models and lists: ``urls/CATEGORY/domains`` and ``urls/CATEGORY/urls``.
    """

    NAME: ClassVar[str] = "url_list"
    CITE: ClassVar[str] = "UT1 (Université Toulouse Capitole), as FineWeb and RefinedWeb use it"
    DATA_VERSION: ClassVar[int] = 1
    IS_BLIND_TO_CUTS: ClassVar[bool] = True
    MODELS: ClassVar[tuple[str, ...]] = ("url_lists",)
    NEEDS: ClassVar[tuple[str, ...]] = ("url",)
    REASONS: ClassVar[tuple[str, ...]] = ("listed_url",)

    categories: tuple[str, ...] = ("adult",)
    """Names of UT1's folders. FineWeb uses ``adult`` (arXiv:2406.17557, section 3)."""

    def __post_init__(self) -> None:
        if isinstance(self.categories, str) or not self.categories:
            raise ValueError(f"url_list: categories must be a list of folders, not {self.categories!r}")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Judges the column ``url``. A page without a url is kept."""
        lists: Mapping[str, UrlEntries] = models["url_lists"]
        detail: list[str | None] = []
        for url in batch.column("url").to_pylist():
            found = ((name, lists[name].matched(url)) for name in self.categories if name in lists) if url else ()
            detail.append(next((f"{name}: {entry}" for name, entry in found if entry), None))
        verdict = [None if one is None else "listed_url" for one in detail]
        return Outcome(verdict=pa.array(verdict, pa.string()), detail=pa.array(detail, pa.string()))
