"""Contains rules for templates of languages, pronunciations, links, countries and centuries. Patterns with fields, such
as ``c. {1}``, cannot describe what these templates show.

Each rule is a pure function of a call's arguments and the wiki's language. ``templates.yaml`` names a rule as
``fn:NAME``. Arguments that a rule cannot read are returned as plain words or left out. No rule raises an error on any
page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from filters.wikitext.italian_biography import biography_it
from filters.wikitext.measure_rules import MEASURE_RULES, roman
from filters.wikitext.number_syntax import is_number
from filters.wikitext.template_call import TemplateCall, is_language_code
from filters.wikitext.wiki_names import country_name

_MAX_LIST_ITEMS = 1000
_BRACKETED = re.compile(r"[\[/⟨(].*[\]/⟩)]", re.DOTALL)
_WIKIDATA = re.compile(r"Q[0-9]+")
_PARENTHESIS = re.compile(r"\s*\([^()]*\)$")
_COUNTRY_CODE = re.compile(r"[A-Z]{3}")
_FRENCH_ENDING = re.compile(r"er|re|e|ᵉ|ème")


def _words_in_language(call: TemplateCall) -> str:
    """Returns words in a language: ``{{lang|de|Haus}}`` shows "Haus". The language code can be missing."""
    text = call.first_named("text", "текст", "texte", "texto", "testo", "tekst")
    if text:
        return text
    return call.get(2) if call.get(2) or is_language_code(call.get(1)) else call.get(1)


def _language_and_words(call: TemplateCall) -> str:
    """Returns the same words for ``{{langx|ru|Москва}}`` as for its older form ``{{lang-ru|Москва}}``: "Москва"."""
    return _language_words(TemplateCall(call.positional[1:], call.named, call.language))


def _language_words(call: TemplateCall) -> str:
    """Returns foreign words: ``{{lang-ru|Москва|Moskva|lit=Moscow}}`` shows "Москва" on most wikis.

    The English wiki adds transliteration and meaning: "Москва, romanized: Moskva, lit. 'Moscow'".
    """
    if not call.get(1):
        return _named_words(call)
    if call.language in ("ru", "uk"):
        return f"{call.get(1)} — {call.get(2)}" if call.get(2) else call.get(1)
    if call.language != "en":
        return call.get(1)
    romanized = call.get(2) or call.first_named("translit", "rom")
    meaning = call.get(3) or call.first_named("lit", "translation")
    parts = [call.get(1), romanized and f"romanized: {romanized}", meaning and f"lit. '{meaning}'"]
    return ", ".join(part for part in parts if part)


def _german_words(call: TemplateCall) -> str:
    """Returns foreign words with their transliteration (argument ``d``) and meaning (argument ``b``).

    ``{{arF|اسم|d=ism|b=Name}}`` shows "اسم, DMG ism, ‚Name‘".
    """
    parts = [call.get(1), call.named.get("d") and f"DMG {call.named['d']}", call.named.get("w")]
    meaning = call.named.get("b")
    return ", ".join(part for part in (*parts, meaning and f"‚{meaning}‘") if part)


_SWITCHES = frozenset(["yes", "no", "y", "n", "true", "false", "on", "off"])
"""Values of arguments that turn an option on or off. They are no words of the article."""


def _ipa(call: TemplateCall) -> str:
    """Returns a pronunciation: ``{{IPA|la|ˈloːrɛm}}`` shows "[ˈloːrɛm]", and ``{{IPA|/ˈlɔːrəm/}}`` shows its argument.

    >>> _ipa(TemplateCall(["de", "ˈloːʁɛm", "lang"], {}, "en")), _ipa(TemplateCall(["/a/"], {}, "en"))
    ('[ˈloːʁɛm]', '/a/')
    """
    if call.get(2) and is_language_code(call.get(1)):
        return _bracketed_ipa(TemplateCall([call.get(2)], {}, call.language))
    return call.get(1)


def _bracketed_ipa(call: TemplateCall) -> str:
    sounds = call.get(2) if call.get(2) and is_language_code(call.get(1)) else call.get(1)
    return sounds if not sounds or _BRACKETED.fullmatch(sounds) else f"[{sounds}]"


def _ipac(call: TemplateCall) -> str:
    """Returns a pronunciation: ``{{IPAc-en|ˈ|p|aɪ|r|ə|s}}`` shows "/ˈpaɪrəs/"."""
    labels = {"lang", "local", "pron", "us", "uk", "ipa", "audio", "both", "alt", "also", "en-us"}
    sounds = [sound for sound in call.positional if sound.lower() not in labels and "." not in sound[1:]]
    return f"/{''.join(sounds)}/".replace("_", " ") if sounds else ""


def _hyphenated(call: TemplateCall) -> str:
    """Returns syllables: ``{{respell|bur|LIN}}`` shows "bur-LIN"."""
    return "-".join(word for word in call.positional if word).replace("-_-", " ")


def _nihongo(call: TemplateCall) -> str:
    """Returns a Japanese name: ``{{nihongo|Moon|月|tsuki|extra|behind}}`` shows "Moon (月, tsuki, extra) behind"."""
    inner = [word for word in (*call.positional[1:4], call.named.get("extra", "")) if word]
    behind = call.get(5) or call.named.get("extra2", "")
    if not call.get(1):
        return " ".join(word for word in (", ".join(inner), behind) if word)
    return " ".join(word for word in (call.get(1), f"({', '.join(inner)})" if inner else "", behind) if word)


def _named_words(call: TemplateCall) -> str:
    """Returns the spellings of a name in the given order: ``{{zh|s=汉语|p=hànyǔ}}`` shows "汉语, hànyǔ"."""
    skipped = {
        "first",
        "links",
        "labels",
        "scase",
        "link",
        "label",
        "out",
        "kurz",
        "context",
        "lang",
        "nolink",
        "cat",
        "size",
    }
    words = [*call.positional, *(v for name, v in call.named.items() if name not in skipped and not name.isdigit())]
    return ", ".join(word for word in words if word and word.lower() not in _SWITCHES)


def _interlanguage(call: TemplateCall) -> str:
    """Returns the label of a link to another language's article. If the link has no label, returns the title on this
    wiki.
    """
    label = call.first_named("lt", "display", "text", "текст", "tekst", "texte", "texto", "label")
    first, second = call.get(1), call.get(2)
    if label:
        return label
    if _WIKIDATA.fullmatch(first):
        return call.get(3) or second
    if is_language_code(first) and second:  # the older order of arguments: {{ill|de|Title}}
        return second
    return (second or first) if call.language in ("ru", "uk", "bg", "sr") else first


def _music(call: TemplateCall) -> str:
    signs = {"sharp": "♯", "#": "♯", "flat": "♭", "b": "♭", "natural": "♮", "doublesharp": "𝄪", "doubleflat": "𝄫"}
    if call.get(1) in ("time", "timesig"):
        return f"{call.get(2)}/{call.get(3)}"
    return "".join(signs.get(word, word if len(word) == 1 else "") for word in call.positional)


def _list(call: TemplateCall) -> str:
    items = [word for word in call.positional if word][:_MAX_LIST_ITEMS]
    return "\n" + "".join(f"* {item}\n" for item in items)


def _coordinates(call: TemplateCall) -> str:
    """Returns geographical coordinates: ``{{coord|33|6|39|N|117|9|13|W}}`` shows "33°6′39″N 117°9′13″W".

    Returns an empty string if the page shows the coordinates only beside its title.
    """
    where = call.named.get("display", "inline")
    if "inline" not in where and where not in ("", "i", "it", "ti"):
        return ""
    out: list[str] = []
    numbers: list[str] = []
    for word in call.positional[:8]:
        if word in ("N", "S", "E", "W"):
            out.append("".join(n + sign for n, sign in zip(numbers, "°′″", strict=False)) + word)
            numbers = []
        elif is_number(word) and len(numbers) < 3:
            numbers.append(word)
        else:
            break
    if len(out) == 2:
        return " ".join(out)
    return f"{numbers[0]}, {numbers[1]}" if not out and len(numbers) == 2 else ""


def _last(call: TemplateCall) -> str:
    return next((word for word in reversed(call.positional) if word), "")


def _country(call: TemplateCall) -> str:
    """Returns a country's name: ``{{flag|ALB}}`` and ``{{flag|Albania}}`` show a flag and "Albania"."""
    word = call.get(1)
    return (country_name(word, call.language) or word) if _COUNTRY_CODE.fullmatch(word) else word


def _country_if_named(call: TemplateCall) -> str:
    """Returns a country's name if the template shows it: ``{{bandiera|Francia|nome}}`` shows "Francia". Without
    ``nome``, the template shows only a flag, so the result is empty."""
    is_named = call.get(2).lower() in ("nome", "nombre", "nom", "name") or call.named.get("nome")
    return _country(call) if is_named else ""


def _team(call: TemplateCall) -> str:
    """Returns the country of a national team: ``{{Naz|CA|ITA}}`` shows "Italia"."""
    code = next((word for word in call.positional if _COUNTRY_CODE.fullmatch(word)), "")
    return country_name(code, call.language) if code else ""


def _without_parenthesis(call: TemplateCall) -> str:
    """Returns a name without its parenthesis: ``{{souverain-|Henri IV (roi de France)}}`` shows "Henri IV"."""
    return _PARENTHESIS.sub("", call.get(2) or call.get(1))


def _centuries_fr(call: TemplateCall) -> str:
    """Returns French centuries: ``{{sp|XI|e|au|XII|e|s}}`` shows "XIe au XIIe siècles".

    >>> _centuries_fr(TemplateCall(["XI", "e", "au", "XII", "e"], {}, "fr"))
    'XIe au XIIe siècle'
    >>> _centuries_fr(TemplateCall(["XV", "XVI"], {}, "fr")), _centuries_fr(TemplateCall(["xix", "e"], {}, "fr"))
    ('XVe et XVIe siècles', 'XIXe siècle')
    """
    out: list[str] = []
    num_centuries = 0
    is_plural = False
    is_word_before = True
    words = [word for word in call.positional if word]
    for position, word in enumerate(words):
        if _FRENCH_ENDING.fullmatch(word):
            continue
        if re.fullmatch(r"[IVXLivxl]+|[0-9]{1,2}", word):
            following = words[position + 1] if position + 1 < len(words) else ""
            ending = following if _FRENCH_ENDING.fullmatch(following) else ("er" if word.upper() in ("I", "1") else "e")
            out += ([] if is_word_before else ["et"]) + [roman(word).upper() + ending]
            num_centuries += 1
            is_word_before = False
        elif word == "s":
            is_plural = True
        elif len(out) == 1 and num_centuries == 1:
            out.append(word)
            is_word_before = True
    if not out:
        return " ".join(words)
    is_plural = is_plural or (num_centuries > 1 and "et" in out)
    return f"{' '.join(out)} siècle{'s' if is_plural else ''}"


def _centuries_fr_bc(call: TemplateCall) -> str:
    return f"{shown} av. J.-C." if (shown := _centuries_fr(call)) else ""


def _century_es(call: TemplateCall) -> str:
    """Returns a Spanish century: ``{{siglo|XIX}}`` shows "XIX", ``{{siglo|V|a||s}}`` shows "siglo V a. C."."""
    era = {"a": " a. C.", "d": " d. C."}.get(call.get(2), "")
    word = "siglo " if call.get(4).lower() == "s" or call.get(3).lower() == "s" else ""
    return f"{word}{call.get(1)}{era}" if call.get(1) else ""


def _author_year(call: TemplateCall) -> str:
    """Returns authors and year: ``{{harvtxt|Smith|Jones|2000}}`` shows "Smith & Jones (2000)"."""
    words = [word for word in call.positional if word]
    if len(words) < 2:
        return "".join(words)
    *authors, year = words
    names = f"{authors[0]} et al." if len(authors) > 3 else " & ".join(authors)
    return f"{names} ({year})"


def _junction(call: TemplateCall) -> str:
    """Returns the kinds and numbers of roads: ``{{jct|state=NY|I|95|NY|27}}`` shows "I-95 / NY 27"."""
    words = call.positional
    pairs = [(words[at], words[at + 1]) for at in range(0, len(words) - 1, 2)]
    return " / ".join(f"{kind}{'-' if kind == 'I' else ' '}{number}" for kind, number in pairs if kind and number)


def _nuclide(call: TemplateCall) -> str:
    """Returns a nuclide: ``{{SimpleNuclide|Link|Helium|3}}`` shows "Helium-3". "Link" only requests a link."""
    return "-".join(word for word in call.positional[:3] if word and word.lower() not in ("link", "nolink"))


RULES: Mapping[str, Callable[[TemplateCall], str]] = {
    **MEASURE_RULES,
    "author_year": _author_year, "bio_it": biography_it,
    "centuries_fr": _centuries_fr, "centuries_fr_bc": _centuries_fr_bc,
    "century_es": _century_es, "coordinates": _coordinates, "country": _country, "country_if_named": _country_if_named,
    "german_words": _german_words, "hyphenated": _hyphenated, "interlanguage": _interlanguage, "ipa": _ipa,
    "ipa_in_brackets": _bracketed_ipa, "ipac": _ipac, "junction": _junction, "language_and_words": _language_and_words,
    "language_words": _language_words, "last": _last, "list": _list, "music": _music, "named_words": _named_words,
    "nihongo": _nihongo, "nuclide": _nuclide, "team": _team, "without_parenthesis": _without_parenthesis,
    "words_in_language": _words_in_language,
}  # fmt: skip
"""Maps the names that ``templates.yaml`` uses to the rules."""
