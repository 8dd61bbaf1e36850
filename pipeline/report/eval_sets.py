"""Writes one page per evaluation set (a benchmark). A page shows each item (an example of the benchmark) that was found
in a document, next to the passage in which it was found. Such a passage is called a hit. A page also lists the items
that were not found.

The data comes from the tables in ``decontamination/``. A page shows only a part of it: the 300 items with the most
hits, and three hits for each of them. An item that was not found is listed with its id and the beginning of its text.
The items that were not found are grouped by the reason (for example, too few words), and a page lists up to 2,000 items
per group.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jinja2
from apache_beam.io.filesystems import FileSystems
from markupsafe import Markup

from pipeline.files.files import delete_tree, exists, join, read_bytes, write_bytes
from pipeline.files.parquet_files import parquet_batches
from pipeline.output.paths import Layout
from pipeline.report.passages import merged

MAX_ITEMS, MAX_HITS_PER_ITEM, MAX_OTHERS = 300, 3, 2000
_CONTEXT_CHARS = 80
"""The number of characters before the hit in an excerpt that ``filters.decontaminate.step`` writes."""
_MAX_MARKED_DOCS = 100_000
"""The largest number of documents per source in which a report marks items."""
_STATES = {
    "findable": "searched for and not found",
    "needs_answer": "short: searched for together with their answer, and not found",
    "too_short": "not searched for, because they have too few words, or are short and have no answer",
    "too_common": "not searched for, because their words are too common",
}


@dataclass(slots=True)
class _SetRows:
    """Collects what the page of one set shows."""

    found: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    """A heap of the items with the most hits. An entry has the number of hits, the id of the item, and the row about
    the item."""
    others: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """The ids of items that were not found, and the beginnings of their texts, by the item's state."""
    num_others: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    hits: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


def searched_sets(layout: Layout) -> list[dict[str, Any]]:
    """Returns the summary of each evaluation set that the run searched for, with the file name of the set's page. The
    list is empty if the run searched for none.
    """
    path = join(layout.decontamination, "summary.json")
    if not exists(path):
        return []
    sets = json.loads(read_bytes(path))["sets"]
    return [{**one, "page": f"evaluation-set-{number:03}.html"} for number, one in enumerate(sets)]


def write_set_pages(layout: Layout) -> None:
    """Writes one page per evaluation set into the report's folder. Deletes the pages of an earlier report first."""
    folder = layout.report.rsplit("/", 1)[0]
    (earlier,) = FileSystems.match([join(folder, "evaluation-set-*.html")])
    for entry in earlier.metadata_list:
        delete_tree(entry.path)
    sets = searched_sets(layout)
    if not sets:
        return
    rows = _read(layout)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    assert environment.loader is not None
    style = Markup(environment.loader.get_source(environment, "report.css")[0])
    for one in sets:
        page = _page(one, rows[one["name"]])
        html = environment.get_template("evaluation_set.html").render(set=one, page=page, style=style)
        write_bytes(join(folder, one["page"]), html.encode("utf-8", "replace"))


def _read(layout: Layout) -> dict[str, _SetRows]:
    rows: dict[str, _SetRows] = defaultdict(_SetRows)
    for item in _rows(join(layout.decontamination, "items.parquet")):
        of_set = rows[item["set"]]
        if item["hits"]:
            heapq.heappush(of_set.found, (item["hits"], item["item"], item))
            if len(of_set.found) > MAX_ITEMS:
                heapq.heappop(of_set.found)
        else:
            of_set.num_others[item["state"]] += 1
            if of_set.num_others[item["state"]] <= MAX_OTHERS:
                of_set.others[item["state"]].append((item["item"], item.get("text") or ""))
    shown = {name: {item for _, item, _ in of_set.found} for name, of_set in rows.items()}
    (files,) = FileSystems.match([join(layout.decontamination, "hits-*.parquet")])
    for path in sorted(entry.path for entry in files.metadata_list):
        for hit in _rows(path):
            if hit["item"] in shown.get(hit["set"], ()):
                best = [*rows[hit["set"]].hits[hit["item"]], hit]
                rows[hit["set"]].hits[hit["item"]] = sorted(best, key=_rank)[:MAX_HITS_PER_ITEM]
    return rows


def hit_spans(layout: Layout, source: str) -> dict[str, tuple[tuple[int, int], ...]]:
    """Returns the places at which evaluation items were found in the documents of a source, by the id of the document.
    The places of at most 100,000 documents are returned.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    (files,) = FileSystems.match([join(layout.decontamination, "hits-*.parquet")])
    for path in sorted(entry.path for entry in files.metadata_list):
        for hit in _rows(path):
            if hit["source"] == source and (hit["id"] in found or len(found) < _MAX_MARKED_DOCS):
                found.setdefault(hit["id"], []).append((hit["start_char"], hit["end_char"]))
    return {name: merged(sorted(spans)) for name, spans in found.items()}


def _rows(path: str) -> Iterator[dict[str, Any]]:
    for batch in parquet_batches(path, batch_size=1024):
        yield from batch.to_pylist()


def _rank(hit: Mapping[str, Any]) -> tuple[Any, ...]:
    return -max(hit["question_score"], hit["passage_score"]), hit["source"], hit["id"], hit["start_char"]


def _page(one: Mapping[str, Any], rows: _SetRows) -> dict[str, Any]:
    found = sorted(rows.found, key=lambda entry: (-entry[0], entry[1]))
    return {
        "items": [{**item, "shown": [_shown(hit) for hit in rows.hits.get(name, [])]} for _, name, item in found],
        "num_more": one["items_found"] - len(found),
        "others": [
            {"title": title, "items": rows.others[state], "number": rows.num_others[state]}
            for state, title in _STATES.items()
            if rows.num_others.get(state)
        ],
    }


def _shown(hit: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a hit (a passage in which an evaluation item was found) with its excerpt in three parts: the text before
    the hit, the hit, and the text after it.
    """
    text = hit["excerpt"]
    start = min(hit["start_char"], _CONTEXT_CHARS)
    end = start + hit["end_char"] - hit["start_char"]
    return {**hit, "before": text[:start], "span": text[start:end], "after": text[end:]}
