"""Contains the names that differ between Wikipedias: namespaces, templates, headings of references, months, countries.

The tables are data files in ``filters/data/wikipedia``. The ``siteinfo`` of a dump adds the namespaces of its wiki.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_DATA = Path(__file__).parents[1] / "data" / "wikipedia"

MEDIA, FILE, CATEGORY = -2, 6, 14
"""MediaWiki's numbers of the namespaces whose links show no words of the article."""

Pattern = tuple[str, ...]
"""The words that a template shows, with fields for its arguments. The elements alternate: literal text, field, literal
text, ..., literal text.
"""
Rendering = str | tuple[Pattern, ...]
"""How a template is written as text: the name of a rule of ``template_rules``, or patterns. The first pattern whose
fields are all given as arguments is used."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WikiNames:
    """Holds the names that one wiki uses, for example for namespaces and templates. The names are in lower case, with
    spaces instead of underscores. :func:`syntax` caches the objects."""

    language: str
    hidden_prefixes: frozenset[str]
    """Prefixes of links that show no words of the article: files, categories, other languages."""
    media_prefixes: frozenset[str]
    """Prefixes of links to a sound or film. Such a link shows only its label."""
    apparatus_headings: frozenset[str]
    templates: Mapping[str, Rendering]
    redirect_words: tuple[str, ...]
    disambiguation_templates: frozenset[str]


@functools.lru_cache(maxsize=8)
def _table(name: str) -> dict[str, Any]:
    with (_DATA / f"{name}.yaml").open(encoding="utf-8") as stream:
        loaded: dict[str, Any] = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


@functools.lru_cache(maxsize=1)
def wiki_codes() -> frozenset[str]:
    """Returns the codes of all Wikipedias, such as ``de``. A dump's name has the code of its Wikipedia before ``wiki``
    (``dewiki``). A link to another language begins with the code of that language's Wikipedia.
    """
    return frozenset(_table("wikis")["codes"].split())


def language_of_wiki(code: str) -> str:
    """Returns the language that a wiki is written in, as its ISO 639-1 code if it has one.

    >>> language_of_wiki("simple"), language_of_wiki("sr")
    ('en', 'sr')
    """
    language: str = _table("wikis")["languages"].get(code, code)
    return language


def redirect_words(language: str) -> tuple[str, ...]:
    """Returns the words with which a redirect page can begin on the language's wiki, in lower case and without ``#``.
    The English word is always included."""
    table = _table("redirects")
    return (*table["all"], *table.get(language, ()))


@functools.lru_cache(maxsize=64)
def syntax(language: str, namespaces: str = "") -> WikiNames:
    """Returns the names that the Wikipedia in one language uses.

    Args:
        language: the wiki's language. A language without tables gets the names that all wikis understand.
        namespaces: the dump's own namespaces, ``6:Datei|14:Kategorie``, as :func:`pack_namespaces` writes them.

    >>> "datei" in syntax("de").hidden_prefixes, "datei" in syntax("fr").hidden_prefixes
    (True, False)
    >>> "fails" in syntax("ltg", "6:Fails").hidden_prefixes
    True
    """
    names = _table("namespaces")
    prefixes: dict[int, set[str]] = {MEDIA: set(), FILE: set(), CATEGORY: set()}
    for table in (names["all"], names.get(language, {})):
        prefixes[FILE].update(table["file"] if table else ())
        prefixes[CATEGORY].update(table["category"] if table else ())
        prefixes[MEDIA].update(table["media"] if table else ())
    for number, name in unpack_namespaces(namespaces):
        if number in prefixes and name:
            prefixes[number].add(name.lower().replace("_", " "))
    disambiguation = _table("disambiguation")
    return WikiNames(
        language=language,
        hidden_prefixes=frozenset(prefixes[FILE] | prefixes[CATEGORY] | wiki_codes()),
        media_prefixes=frozenset(prefixes[MEDIA]),
        apparatus_headings=frozenset(heading.casefold() for heading in _table("sections").get(language, ())),
        templates=_templates(language),
        redirect_words=redirect_words(language),
        disambiguation_templates=frozenset((*disambiguation["all"], *disambiguation.get(language, ()))),
    )


@dataclass(frozen=True, slots=True)
class MonthNames:
    """Holds the names of the months in one language, beginning with January, and how a date is written."""

    pattern: str
    """A date with ``{d}``, ``{m}`` and ``{y}`` in place of day, month and year."""
    inflected: tuple[str, ...]
    """The names in the grammatical form that follows a day's number, as in "7 апреля"."""
    alone: tuple[str, ...]


@functools.lru_cache(maxsize=64)
def month_names(language: str) -> MonthNames:
    """Returns the names of the months. A language without a table gets the English names, with the day first."""
    table = _table("months").get(language)
    if table is None:
        english = month_names("en")
        return MonthNames("{d} {m} {y}", english.inflected, english.alone)
    return MonthNames(table["date"], tuple(table["months"].split(", ")), tuple(table["alone"].split(", ")))


@functools.lru_cache(maxsize=64)
def _countries(language: str) -> dict[str, str]:
    """Returns a dict from three-letter codes to country names in the language. A country can have several codes."""
    table = _table("countries")
    packed = table.get(language, "")
    names = dict(item.strip().split(" ", 1) for item in packed.split(";")) if packed else {}
    codes = (pair.split(":") for pair in table["codes"].split())
    return {code: names[country] for code, country in codes if country in names}


def country_name(code: str, language: str) -> str:
    """Returns the name of a country by its three-letter code (ISO, IOC or FIFA), or an empty string.

    >>> country_name("ALB", "it"), country_name("GER", "sr"), country_name("XYZ", "it")
    ('Albania', 'Немачка', '')
    """
    return _countries(language).get(code, "")


@functools.lru_cache(maxsize=64)
def _country_names(language: str) -> frozenset[str]:
    return frozenset(_countries(language).values())


def is_country(name: str, language: str) -> bool:
    """Returns True if ``name`` is a country's name in the language.

    >>> is_country("Kanada", "de"), is_country("Canada", "de")
    (True, False)
    """
    return name in _country_names(language)


@functools.lru_cache(maxsize=64)
def silent_names(language: str) -> re.Pattern[str]:
    """Returns a pattern for the lower-case names of templates that show no words: notes, requests, icons.

    >>> bool(silent_names("en").fullmatch("citation needed")), bool(silent_names("en").fullmatch("convert"))
    (True, False)
    """
    table = _table("silent")
    names = ", ".join((table["all"], table.get(language, ""))).split(",")
    return re.compile("|".join(".*".join(map(re.escape, name.strip().split("*"))) for name in names if name.strip()))


def pack_namespaces(names: Mapping[int, str]) -> str:
    """Packs the names of the media, file and category namespaces into one short string.

    >>> pack_namespaces({0: "", 6: "Datei", 10: "Vorlage", 14: "Kategorie"})
    '6:Datei|14:Kategorie'
    """
    return "|".join(f"{number}:{names[number]}" for number in (MEDIA, FILE, CATEGORY) if names.get(number))


def unpack_namespaces(packed: str) -> list[tuple[int, str]]:
    """Returns the numbers and names that :func:`pack_namespaces` packed."""
    pairs = (item.partition(":") for item in packed.split("|") if item)
    return [(int(number), name) for number, _, name in pairs]


@functools.lru_cache(maxsize=64)
def _templates(language: str) -> dict[str, Rendering]:
    """Returns a dict from the names of templates to how the templates are written as text on the wiki of this language.

    Some templates are the same on all wikis. If the language's table also contains the name of such a template, this
    table is used. An empty value means that the template shows nothing on this wiki.
    """
    table = _table("templates")
    renderings: dict[str, Rendering] = {}
    for entries in (table["all"], table.get(language, {})):
        for name, value in sorted(entries.items(), key=lambda entry: not entry[0].startswith("@")):
            if name.startswith("@"):
                renderings.update(dict.fromkeys((n.strip() for n in value.split(",")), _compile(name[1:])))
            else:
                renderings[name] = _compile(value)
    return renderings


def _compile(value: str | list[str]) -> Rendering:
    if isinstance(value, str) and value.startswith("fn:"):
        return value[3:]
    patterns = [value] if isinstance(value, str) else value
    return tuple(_split_pattern(pattern) for pattern in patterns if pattern)


def _split_pattern(pattern: str) -> Pattern:
    """Splits a pattern into text and fields: ``c. {1}–{2}`` becomes ``("c. ", "1", "–", "2", "")``.

    Braces around anything except the name of a field are literal text.
    """
    pieces: list[str] = [""]
    rest = pattern
    while rest:
        before, brace, after = rest.partition("{")
        field, close, following = after.partition("}")
        if brace and close and field and (field.isalnum() or field in "*+"):
            pieces[-1] += before
            pieces += [field, ""]
            rest = following
        else:
            pieces[-1] += before + brace
            rest = after
    return tuple(pieces)
