"""Converts wikitext to plain text, as a reader of the article sees it. The time is linear in the page's length.

The page is never expanded as MediaWiki would do it, because that needs the wiki's own templates. If a template shows
words, a table (``filters/data/wikipedia/templates.yaml``) says which words replace it. All other templates, tables,
pictures and references are removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from filters.step import Models, Outcome, Step
from filters.wikitext.cited_urls import cited_urls
from filters.wikitext.line_layout import lay_out
from filters.wikitext.line_words import TextRules
from filters.wikitext.links import resolve_external_links, resolve_links
from filters.wikitext.protected_text import (
    Held,
    decode_entities,
    plain_spaces,
    remove_control,
    remove_doubled_brackets,
    remove_marks,
    unescape_references,
)
from filters.wikitext.tags import remove_hidden, remove_html, remove_html_tables, resolve_raw_tags
from filters.wikitext.templates import UnknownTemplates, resolve_templates
from filters.wikitext.variants import resolve_variants
from filters.wikitext.wiki_names import WikiNames, syntax

_TEMPLATE_OPENING = re.compile(r"\{\{\s*+([^|{}\[\]<>\n]{1,60})")
MAX_UNKNOWN_NAMES = 20
"""Maximum number of names of unknown templates that are stored per page (ours)."""
_SPACED_SEMICOLON = TextRules(is_semicolon_spaced=True)
_UNSPACED = TextRules()


def wikitext_to_text(
    wikitext: str, *, names: WikiNames, title: str = "", unknown: UnknownTemplates | None = None
) -> str:
    """Returns the article's words without its markup. ``title`` is only used to replace ``{{PAGENAME}}``. The result
    does not begin with the title.

    Keeps paragraphs, headings, lists, the words of links, formulas and code. Removes pictures with their captions,
    tables, references, comments, categories, templates without words, headings without text, and the apparatus at the
    end (sections such as "References"). ``unknown`` collects the names of unknown templates inside sentences.

    >>> wikitext_to_text("'''Pears''' are [[fruit]]s.<ref>A</ref>\\n== See also ==\\n* [[Apple]]", names=syntax("en"))
    'Pears are fruits.'
    """
    held = Held()
    text = resolve_raw_tags(unescape_references(remove_control(wikitext)), held)
    text = remove_html_tables(remove_hidden(text))
    text = resolve_templates(text, names, title, unknown)
    text = resolve_links(text, names)
    text = resolve_variants(text, names.language)
    text = remove_html(resolve_external_links(text))
    rules = _SPACED_SEMICOLON if names.language == "fr" else _UNSPACED
    text = lay_out(plain_spaces(decode_entities(text)), names.apparatus_headings, rules)
    return remove_marks(held.put_back(remove_doubled_brackets(text))).strip("\n")


def is_disambiguation(wikitext: str, names: WikiNames) -> bool:
    """Returns True if the page uses one of its wiki's templates for disambiguation pages."""
    templates = names.disambiguation_templates
    return any(
        match[1].strip().replace("_", " ").lower() in templates for match in _TEMPLATE_OPENING.finditer(wikitext)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wikitext(Step):
    """Converts a page's wikitext to text: title, blank line, article. Drops pages longer than MediaWiki can store.

    Input columns: ``text`` (wikitext), ``title``, ``language``. Optional input column: ``_namespaces``, the names of
    the wiki's namespaces for files and categories, as its dump lists them.
    """

    NAME: ClassVar[str] = "wikitext"
    DATA_VERSION: ClassVar[int] = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "_is_disambiguation": pa.bool_(),
        "cited_urls": pa.list_(pa.string()),
        "unknown_templates": pa.list_(pa.string()),
    }
    REASONS: ClassVar[tuple[str, ...]] = ("page_too_long",)
    CITE: ClassVar[str] = "MediaWiki's $wgMaxArticleSize"

    max_wikitext_chars: int = 2_097_152
    """Longest wikitext in characters. MediaWiki's limit is 2,048 kB ($wgMaxArticleSize), so no real page has more
    characters. The time is linear: the worst known input (a page of ``{{}}``) takes under 2 s per million characters.
    """
    is_citing: bool = False
    """If True, the column ``cited_urls`` contains the URLs that each page cites (:mod:`filters.wikitext.cited_urls`).
    If False, the column is null. The classifier of :mod:`filters.reference` is trained on the pages at these URLs.
    Finding the URLs takes half as long as the conversion."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Converts every page. Drops pages over ``max_wikitext_chars`` without converting them."""
        pages = [
            self._convert(*page)
            for page in zip(
                batch.column("text").to_pylist(),
                _strings(batch, "title"),
                _strings(batch, "language"),
                _strings(batch, "_namespaces"),
                strict=True,
            )
        ]
        too_long = [None if page.num_chars <= self.max_wikitext_chars else str(page.num_chars) for page in pages]
        return Outcome(
            verdict=pa.array([None if detail is None else "page_too_long" for detail in too_long], pa.string()),
            detail=pa.array(too_long, pa.string()),
            columns={
                "text": pa.array([page.text for page in pages], pa.string()),
                "_is_disambiguation": pa.array([page.is_disambiguation for page in pages], pa.bool_()),
                "cited_urls": pa.array(self._cited(batch), pa.list_(pa.string())),
                "unknown_templates": pa.array([page.unknown for page in pages], pa.list_(pa.string())),
            },
            signals={"num_unknown_templates": pa.array([page.num_unknown for page in pages], pa.float64())},
        )

    def _convert(self, wikitext: str, title: str, language: str, namespaces: str) -> _Page:
        if len(wikitext) > self.max_wikitext_chars:
            return _Page(text=title, num_chars=len(wikitext))
        names = syntax(language, namespaces)
        unknown = UnknownTemplates()
        body = wikitext_to_text(wikitext, names=names, title=title, unknown=unknown)
        return _Page(
            text=f"{title}\n\n{body}" if title and body else title or body,
            num_chars=len(wikitext),
            is_disambiguation=is_disambiguation(wikitext, names),
            unknown=[name for name, _ in unknown.names.most_common(MAX_UNKNOWN_NAMES)],
            num_unknown=float(unknown.names.total()),
        )

    def _cited(self, batch: pa.RecordBatch) -> list[list[str] | None]:
        if not self.is_citing:
            return [None] * batch.num_rows
        texts = batch.column("text").to_pylist()
        return [cited_urls(text) if len(text) <= self.max_wikitext_chars else None for text in texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Holds one page after the conversion."""

    text: str
    num_chars: int
    """Number of characters of the wikitext."""
    is_disambiguation: bool = False
    unknown: list[str] = field(default_factory=list)
    """Names of the unknown templates inside sentences, the most frequent first."""
    num_unknown: float = 0.0


def _strings(batch: pa.RecordBatch, name: str) -> list[str]:
    if name not in batch.schema.names:
        return [""] * batch.num_rows
    return [value or "" for value in batch.column(name).to_pylist()]
