"""Makes the remarks about one source: what it lost, counts that do not add up, and numbers near a limit at which the
run stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from filters.latex.paper import Latex
from filters.wikitext.page import Wikitext
from pipeline.report.charts import percent, short_bytes
from pipeline.report.output_state import RunState, SourceState
from pipeline.report.remark import BAD, LOOK, Remark
from pipeline.settings.dedup_settings import ceilings_of
from pipeline.settings.settings import RunLimits
from pipeline.sources.across_step import ACROSS
from pipeline.sources.min_hash_step import MinHashDedup

_MANY = 0.9
"""If a step drops a larger share than this, a remark says that something looks wrong. The limit is our choice: even
CCNet's perplexity step drops only 40 %."""
_HALF = 0.5
_LEAST_DOCS = 20
"""The smallest number of documents for which a remark about a share is made. With fewer documents, a share says nothing
about a step."""
_NO_TEXT = 0.1
"""If more than this share of a source's records have no text, a remark is made. Ours: of a crawl's HTML pages about
one in fifty has no text that can be extracted. So a much larger share means that the input or the extraction is
wrong."""
_WITHOUT_TEXT = ("no_content", "no_text", "empty")
"""The reasons of records that have no text."""
_CONVERTING = (Latex.NAME, Wikitext.NAME)
"""Steps that remove markup from every document. The share of the text that they remove is no sign of a mistake."""
_NEAR = 0.5
"""A remark is made if a number reaches this share of a limit at which the run stops. Such limits are those on bad
records, on unreadable files, and on the documents that a near dedup removes."""


def of_source(state: RunState, source: SourceState, stats: Mapping[str, Any], anchor: str) -> Iterator[Remark]:
    """Yields the remarks about a source's counts. ``anchor`` is the source's place on the page."""
    name, read, kept = source.name, stats["documents"]["in"], stats["documents"]["kept"]
    if read and not kept:
        yield Remark(BAD, f"{name} kept none of its {read:,} documents.", anchor)
    if not read:
        yield Remark(BAD, f"{name} has no document.", anchor)
    for row in stats["stages"]:
        lost = sum(row["dropped"].values())
        if row["in"] != row["kept"] + lost:
            yield Remark(BAD, f"The numbers of {row['stage']} of {name} do not add up.", anchor)
        share = lost / row["in"] if row["in"] else 0.0
        if row["in"] >= _LEAST_DOCS and share > _HALF:
            text = f"{row['stage']} drops {percent(100 * share)} % of the documents of {name} that reach it"
            yield Remark(BAD if share > _MANY else LOOK, f"{text} ({lost:,} of {row['in']:,}).", anchor)
        elif row["in"] >= _LEAST_DOCS and row["stage"] not in _CONVERTING:
            yield from _of_cut_text(name, row, anchor)
    without = sum(stats["records"].get(reason, 0) for reason in _WITHOUT_TEXT)
    records = read + without
    if records >= _LEAST_DOCS and without > _NO_TEXT * records:
        text = f"{without:,} of {records:,} records of {name} have no text ({percent(100 * without / records)} %)"
        yield Remark(LOOK, f"{text}: the input is empty, or no text is found in its pages.", anchor)
    yield from _near_ceilings(state, name, stats, source.about, anchor)


def _of_cut_text(name: str, row: Mapping[str, Any], anchor: str) -> Iterator[Remark]:
    """Yields a remark if a stage removed more than half of the text, although it kept most documents."""
    before, kept = row["bytes"].get("in", 0), row["bytes"].get("kept", 0)
    share = (before - kept) / before if before else 0.0
    if share > _HALF:
        text = f"{row['stage']} removes {percent(100 * share)} % of the text of {name} that reaches it"
        yield Remark(BAD if share > _MANY else LOOK, f"{text} ({short_bytes(before - kept)} of {short_bytes(before)}).",
                     anchor)  # fmt: skip


def _near_ceilings(
    state: RunState, name: str, stats: Mapping[str, Any], about: Mapping[str, Any], anchor: str
) -> Iterator[Remark]:
    run: Mapping[str, Any] = state.record.get("settings", {}).get("run", {})
    known = RunLimits()
    records = stats["documents"]["in"] + stats.get("bad_records", 0)
    files = about.get("inputs", {}).get("files", 0)
    for what, count, total, most, share in (
        ("records are bad", stats.get("bad_records", 0), records, "max_bad_records", "max_bad_share"),
        ("files could not be read", stats.get("unreadable_files", 0), files, "max_unreadable_files",
         "max_unreadable_share"),
    ):  # fmt: skip
        most_value, share_value = (float(run.get(key, getattr(known, key))) for key in (most, share))
        # A run stops if both limits are passed, so the one that is further away counts.
        used = min(count / max(most_value, 1.0), count / max(share_value * total, 1.0))
        if used >= _NEAR:
            yield Remark(LOOK, f"{name}: {count:,} {what} of {total:,}; the run stops at more than {most_value:,.0f} "
                         f"and {100 * share_value:g} %.", anchor)  # fmt: skip
    ceilings = ceilings_of(state.record.get("settings", {}).get("dedup"))
    for row in stats["stages"]:
        lost = sum(row["dropped"].values())
        part = lost / row["in"] if row["in"] else 0.0
        is_counted = row["stage"] in (MinHashDedup().NAME, ACROSS) and row["in"] >= ceilings.min_documents
        if is_counted and part >= _NEAR * ceilings.max_removed_share:
            ceiling = f"the ceiling is {100 * ceilings.max_removed_share:g} %"
            yield Remark(LOOK, f"{row['stage']} removed {percent(100 * part)} % of {name}; {ceiling}.", anchor)
