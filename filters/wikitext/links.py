"""Replaces links by their words, and removes pictures, categories and links to other languages."""

from __future__ import annotations

import re

from filters.wikitext.wiki_names import WikiNames

_MAX_OPEN = 40
"""Maximum depth of nested links. Our choice: a page with deeper nesting is broken, so the brackets of deeper links are
removed.
"""
_PLAIN = re.compile(r"\[\[(?![^|\]\[\n:]*+:)(?:[^\[\]|\n]++\|)?([^\[\]|\n]++)\]\]")
_BRACKETS = re.compile(r"\[\[|\]\]")
_FILE_NAME = re.compile(r"\.(?:jpe?g|png|svg|gif|tiff?|web[mp]|og[gva]|pdf|djvu|mid|flac|wav|mp3|xcf)$", re.IGNORECASE)
_EXTERNAL = re.compile(r"\[(?:(?:https?|ftps?|irc):)?//[^\s\[\]<>\"]++[ \t]*+([^\[\]\n]*+)\]", re.IGNORECASE)
_MAIL = re.compile(r"\[mailto:[^\s\[\]]++[ \t]*+([^\[\]\n]*+)\]", re.IGNORECASE)

_PROJECTS = frozenset(
    (
        *(
            "w",
            "wikipedia",
            "wikt",
            "wiktionary",
            "s",
            "wikisource",
            "b",
            "wikibooks",
            "q",
            "wikiquote",
            "n",
            "wikinews",
        ),
        *(
            "v",
            "wikiversity",
            "voy",
            "wikivoyage",
            "species",
            "wikispecies",
            "c",
            "commons",
            "m",
            "meta",
            "d",
            "wikidata",
        ),
    )
)
"""Prefixes of links to other projects (MediaWiki's interwiki table)."""


def resolve_links(text: str, syntax: WikiNames) -> str:
    """Replaces every ``[[...]]`` by the words that it shows, innermost links first. Removes unpaired brackets.

    >>> from filters.wikitext.wiki_names import syntax
    >>> resolve_links("[[Pear|pears]] and [[apple]]s[[File:A.jpg|thumb|A [[b]]]][[Category:C]]", syntax("en"))
    'pears and apples'
    """
    text = "".join(_PLAIN.split(text))
    if "[[" not in text:
        return text.replace("]]", "]") if "]]" in text else text
    frames: list[list[str]] = [[]]
    position = 0
    for match in _BRACKETS.finditer(text):
        if match.start() < position:
            continue
        frames[-1].append(text[position : match.start()])
        position = match.end()
        if match[0] == "[[":
            if len(frames) <= _MAX_OPEN:
                frames.append([])
        elif len(frames) > 1:
            inner = "".join(frames.pop())
            if text.startswith("]", position) and inner.count("[") > inner.count("]"):
                inner += "]"  # in "[[a|[b]]]" the first bracket closes the single one
                position += 1
            frames[-1].append(_words_of(inner, syntax))
    frames[-1].append(text[position:])
    return "".join(piece for frame in frames for piece in frame)


def _words_of(inner: str, syntax: WikiNames) -> str:
    """Returns the words that a link shows to a reader."""
    target, bar, label = inner.partition("|")
    prefix, colon, page = target.partition(":")
    if not colon:
        return label or target if bar else target
    prefix = prefix.strip().lower().replace("_", " ")
    if not prefix:  # a leading colon links to the file or category itself
        return label or page.strip()
    if prefix in syntax.hidden_prefixes:
        return ""
    if prefix in syntax.media_prefixes:
        return label
    if label:
        return "" if "|" in label and _FILE_NAME.search(target.rstrip()) else label
    return (
        target if page.startswith(" ") or len(prefix) > 12 or (not bar and " " in prefix) else _without_project(target)
    )


def _without_project(target: str) -> str:
    """Removes the prefixes that lead to another project, such as Wiktionary: ``wikt:de:Haus`` becomes ``Haus``.

    Other titles with a colon stay unchanged.
    """
    prefix, _, page = target.partition(":")
    return page.rpartition(":")[2] if prefix.strip().lower() in _PROJECTS else target


def resolve_external_links(text: str) -> str:
    """Replaces ``[http://... label]`` by its label. Links without a label show only a number and are removed.

    >>> resolve_external_links("see [http://a.org the site] and [https://b.org] [1]")
    'see the site and  [1]'
    """
    if "[" not in text:
        return text
    text = "".join(_EXTERNAL.split(text))
    return "".join(_MAIL.split(text)) if "[mailto:" in text else text
