"""Finds how a template is written as text. The template's name is looked up first in the table of its wiki, then in
families.

A family is a regular expression that matches the names of many similar templates, for example one template per language
or per century. A table could not list so many names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from filters.wikitext.wiki_names import Rendering, WikiNames, country_name, silent_names

_CODE = r"[a-z]{2,3}(?:-[A-Za-zа-яё]{2,8}){0,3}"
_LANGUAGE_FAMILY = re.compile(
    rf"(?:lang|langx|язык|мова|език|јез|jez|језик|jezik|vol|språk|sprog|taal|jazyk|nyelv|lingua|língua|lengua|idioma|langue|"
    rf"llengua|limba|język|sprache|lg)[- ]?[-](?:{_CODE}|[a-zа-яёљњђћџј]{{2,8}})[0-9]?"
)
_IPA_FAMILY = re.compile(r"(?:ipa|мфа|afi|api|ifa|faa)-[a-z]{2,8}(?:-[a-z]{2,8})?")
_IPAC_FAMILY = re.compile(r"ipac-[a-z]{2,8}")
_GERMAN_LANGUAGE = re.compile(r"[A-Za-z][a-z](?:[a-z]{0,4}S|[a-z]?F)(?:-[A-Z]{2})?")
_COUNTRY = re.compile(r"[A-Z]{3}")
_POLISH_ABBREVIATION = re.compile(r"[a-ząćęłńóśźż]{2,12}\.(?: ?[a-z]{2,8}\.)?")
_FRENCH_ORDINAL = re.compile(r"[0-9]{1,4}(?:er|re|e|ème|nd|nde|d|de)")
_FRENCH_CENTURY = re.compile(r"([ivxl]{1,6})(er|re|e)( siècle| millénaire|)( av\. j\.-c\.| avant j\.-c\.|)")
_ITALIAN_TEAM = re.compile(r"(?:calcio|basket|pallavolo|rugby|hockey|pallanuoto|baseball|football americano) (.+)")
_BOLD_COUNTRY = re.compile(r"([A-Z]{3})(?:f|v|bq|fs|hq|vb)")
_FLAG_ALONE = re.compile(r"[A-Z]{3}b|[A-Z]{3}-d|[A-Z]{2,3}-(?:flag|vlag|flagge|bandera)")
_PATTERN_WORDS: Rendering = (("", "1", ""),)
_MAX_CACHED_NAMES = 20_000


@functools.lru_cache(maxsize=64)
def rendering_finder(names: WikiNames) -> Callable[[str], Rendering | None]:
    """Returns a function that takes the name of a template, and returns how one wiki writes the template as text.

    The function returns patterns of words, or the name of a rule in ``template_rules``. If the template shows nothing,
    it returns an empty tuple. If the template is unknown, it returns None. Some names differ only in their capitals: in
    German, ``{{RuS}}`` shows Russian words and ``{{RUS}}`` shows a country. So a name is looked up first as it is
    written, then in lower case.

    >>> from filters.wikitext.wiki_names import syntax
    >>> find = rendering_finder(syntax("de"))
    >>> find("RuS"), find("RUS"), find("sfn"), find("no such template")
    ('german_words', (('Russland',),), (), None)
    """
    return functools.lru_cache(maxsize=_MAX_CACHED_NAMES)(functools.partial(_find, names))


def _find(names: WikiNames, name: str) -> Rendering | None:
    templates = names.templates
    exact = name[:1].lower() + name[1:]
    lower = name.lower()
    found = templates.get(exact)
    if found is None and exact != lower:
        is_code = names.language != "en" and _COUNTRY.fullmatch(name) and country_name(name, names.language)
        found = None if is_code else templates.get(lower)
    if found is None:
        found = _by_family(name, lower, names.language)
    if found is None and silent_names(names.language).fullmatch(lower):
        return ()
    return found


def _by_family(name: str, lower: str, language: str) -> Rendering | None:
    if _LANGUAGE_FAMILY.fullmatch(lower):
        return "language_words"
    if _IPA_FAMILY.fullmatch(lower):
        return "ipa_in_brackets"
    if _IPAC_FAMILY.fullmatch(lower):
        return "ipac"
    if lower.startswith("script/"):
        return _PATTERN_WORDS
    if _COUNTRY.fullmatch(name) and (country := country_name(name, language)):
        return ((country,),)
    if _FLAG_ALONE.fullmatch(name):
        return ()
    if (sport := _BOLD_COUNTRY.fullmatch(name)) and (country := country_name(sport[1], language)):
        return ((country,),)
    return _by_family_of_wiki(name, lower, language)


def _by_family_of_wiki(name: str, lower: str, language: str) -> Rendering | None:
    if language == "de" and _GERMAN_LANGUAGE.fullmatch(name):
        return "german_words"
    if language == "pl" and _POLISH_ABBREVIATION.fullmatch(lower):
        return ((f"{lower} ", "1", ""), (lower,))
    if language == "it" and (team := _ITALIAN_TEAM.fullmatch(lower)):
        return ((name[len(lower) - len(team[1]) :],),)
    if language == "fr" and _FRENCH_ORDINAL.fullmatch(lower):  # {{3e}}, {{84e|Congrès}}
        return ((f"{lower} ", "1", ""), (lower,))
    if language == "fr" and (century := _FRENCH_CENTURY.fullmatch(lower)):  # {{XXe siècle}}, {{IIe|millénaire}}
        words = century[1].upper() + century[2] + century[3] + century[4].replace("j.-c.", "J.-C.")
        return ((words,),) if century[3] else ((f"{words} ", "1", ""), (words,))
    return None
