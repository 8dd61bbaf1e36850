"""Wikitext to plain text: what a reader of the article reads, in time linear in the page.

The page is never expanded as MediaWiki would (that needs the wiki's own templates): templates that carry words give
them by a table (``filters/data/wikipedia/templates.yaml``), all others go with the tables, pictures and references.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.step import Models, Outcome, Step
from filters.wikitext.cited_urls import cited_urls
from filters.wikitext.line_layout import lay_out
from filters.wikitext.links import resolve_external_links, resolve_links
from filters.wikitext.protected_text import (
    Held,
    decode_entities,
    plain_spaces,
    remove_control,
    remove_marks,
    unescape_references,
)
from filters.wikitext.tags import remove_html, remove_html_tables, resolve_raw_tags
from filters.wikitext.templates import resolve_templates
from filters.wikitext.wiki_names import WikiNames, syntax

_TEMPLATE_OPENING = re.compile(r"\{\{\s*+([^|{}\[\]<>\n]{1,60})")
_VARIANTS = re.compile(r"-\{([^{}\n]*)\}-")
_VARIANT_LANGUAGES = frozenset({"sr", "sh", "zh", "kk", "uz", "tg", "crh", "iu", "ku", "gan"})


def wikitext_to_text(wikitext: str, *, names: WikiNames, title: str = "") -> str:
    """The article's words without its markup. The title is not set before it; it only fills ``{{PAGENAME}}``.

    Keeps paragraphs, headings, lists, the words of links, formulas and code. Leaves out pictures with their
    captions, tables, references, comments, categories, templates without words, headings with nothing under them
    and the apparatus at the end (see also, references, external links).

    >>> wikitext_to_text("'''Pears''' are [[fruit]]s.<ref>A</ref>\\n== See also ==\\n* [[Apple]]", names=syntax("en"))
    'Pears are fruits.'
    """
    held = Held()
    text = resolve_raw_tags(unescape_references(remove_control(wikitext)), held)
    text = remove_html_tables(text)
    text = resolve_templates(text, names, title)
    text = resolve_links(text, names)
    if "-{" in text and names.language in _VARIANT_LANGUAGES:
        text = _VARIANTS.sub(_one_variant, text)
    text = remove_html(resolve_external_links(text))
    text = lay_out(plain_spaces(decode_entities(text)), names.apparatus_headings)
    return remove_marks(held.put_back(text))


def _one_variant(match: re.Match[str]) -> str:
    """Of ``-{sr-ec: а; sr-el: a}-`` the first writing; ``-{text}-`` only forbids conversion."""
    _, bar, behind = match[1].partition("|")
    content = behind if bar else match[1]
    first, semicolon, _ = content.partition(";")
    code, colon, words = first.partition(":")
    is_variant = colon and (semicolon or "-" in code) and len(code) < 12
    return (words if is_variant else content).strip()


def is_disambiguation(wikitext: str, names: WikiNames) -> bool:
    """Whether the page calls one of its wiki's templates for disambiguation pages."""
    templates = names.disambiguation_templates
    return any(
        match[1].strip().replace("_", " ").lower() in templates for match in _TEMPLATE_OPENING.finditer(wikitext)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wikitext(Step):
    """Turns the page's wikitext into its text, title first, a blank line between.

    Input columns: ``text`` (wikitext), ``title``, ``language``; ``_namespaces`` if the reader knows them.
    """

    NAME: ClassVar[str] = "wikitext"
    DATA_VERSION: ClassVar[int] = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "_is_disambiguation": pa.bool_(),
        "cited_urls": pa.list_(pa.string()),
    }
    REASONS: ClassVar[tuple[str, ...]] = ("page_too_long",)

    max_wikitext_chars: int = 2_097_152
    """MediaWiki's own limit on a page in bytes ($wgMaxArticleSize, 2,048 kB), which no page passes in characters.
    The work is linear: on the worst input known (a page of ``{{}}``) under two seconds a million characters."""
    is_citing: bool = False
    """Fill the column ``cited_urls`` with the addresses each page cites (:mod:`filters.wikitext.cited_urls`), to
    fetch them for the classifier of references; it takes half as long as the text. Null otherwise."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Edits every page; drops only pages longer than any wiki would store, unread."""
        texts: list[str] = []
        is_disambiguations: list[bool] = []
        verdicts: list[str | None] = []
        details: list[str | None] = []
        titles = _strings(batch, "title")
        languages = _strings(batch, "language")
        namespaces = _strings(batch, "_namespaces")
        for wikitext, title, language, packed in zip(
            batch.column("text").to_pylist(), titles, languages, namespaces, strict=True
        ):
            if len(wikitext) > self.max_wikitext_chars:
                texts.append(title)
                is_disambiguations.append(False)
                verdicts.append("page_too_long")
                details.append(str(len(wikitext)))
                continue
            names = syntax(language, packed)
            body = wikitext_to_text(wikitext, names=names, title=title)
            texts.append(f"{title}\n\n{body}" if title and body else title or body)
            is_disambiguations.append(is_disambiguation(wikitext, names))
            verdicts.append(None)
            details.append(None)
        return Outcome(
            verdict=pa.array(verdicts, pa.string()),
            detail=pa.array(details, pa.string()),
            columns={
                "text": pa.array(texts, pa.string()),
                "_is_disambiguation": pa.array(is_disambiguations, pa.bool_()),
                "cited_urls": pa.array(self._cited(batch), pa.list_(pa.string())),
            },
        )

    def _cited(self, batch: pa.RecordBatch) -> list[list[str] | None]:
        if not self.is_citing:
            return [None] * batch.num_rows
        texts = batch.column("text").to_pylist()
        return [cited_urls(text) if len(text) <= self.max_wikitext_chars else None for text in texts]


def _strings(batch: pa.RecordBatch, name: str) -> list[str]:
    if name not in batch.schema.names:
        return [""] * batch.num_rows
    return [value or "" for value in batch.column(name).to_pylist()]
