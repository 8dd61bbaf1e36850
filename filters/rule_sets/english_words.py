"""Splits a run of characters without spaces into words and marks, as spaCy's blank English pipeline does.

datatrove's filters count these words, so the limits of these filters are valid only for this split. A punctuation mark
is a word, ``don't`` is two words, and ``e.g.`` and ``https://a.com/b`` are one word each. The rules are spaCy's
(version 3.8). First the run is looked up in a table of exceptions. Then marks are removed from both ends. The rest is
split at hyphens and similar marks between letters. Outside the scripts of Europe, Python's tables decide which
characters are marks and which are letters. Python's tables differ from spaCy's in rare characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_DATA = Path(__file__).parents[1] / "data" / "rule_sets" / "english.yaml"
MAX_AFFIXES = 10_000
"""At most this many marks are removed from the ends of one run of characters (our choice). The limit bounds the time
for malicious texts."""

_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_MARKS = ",:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_CURRENCY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_SYMBOLS = (
    "\xa6\xa9\xae\xb0\u0482\u2100\u2101\u2103-\u2106\u2108\u2109\u2114\u2116\u2117\u211e-\u2123\u2125\u2127\u2129"
    "\u212e\u213a\u213b\u214a\u214c\u214d\u214f\u218a\u218b\u2195-\u2199\u219c-\u219f\u21a1\u21a2\u21a4\u21a5"
    "\u21a7-\u21ad\u21af-\u21cd\u21d0\u21d1\u21d3\u21d5-\u21f3\u2300-\u2307\u230c-\u231f\u2322-\u2328\u232b-\u237b"
    "\u237d-\u239a\u23b4-\u23db\u23e2-\u2426\u2440-\u244a\u249c-\u24e9\u2500-\u25b6\u25b8-\u25c0\u25c2-\u25f7"
    "\u2600-\u266e\u2670-\u2767\u2794-\u27bf\u2800-\u28ff\u2b00-\u2b2f\u2b45\u2b46\u2b4d-\u2b73\u2b76-\u2b95"
    "\u3004\u3012\u3013\u3020\u4dc0-\u4dff\ufffc\ufffd\U0001f000-\U0001f3fa\U0001f400-\U0001faff"
)
"""The symbols of Unicode's category So that occur in texts, as ranges of a regular expression."""
_ICON = f"[{_SYMBOLS}]"
_LETTER = r"[^\W\d_²³¹¼-¾⁰-₟]"
_CASELESS = "\u0591-\u05f4\u0620-\u064a\u066e-\u06d5\u0900-\u097f\u0980-\u09ff\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff"
_CASELESS += "\u3400-\u9fff\uac00-\ud7af"
_LOWER = "a-zß-öø-ÿāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįıĵķĺļľłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷźżžſα-ωάέήίόύώа-яёђ-џґ" + _CASELESS
_UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮİĴĶĹĻĽŁŃŅŇŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŹŻŽΑ-ΩΆΈΉΊΌΎΏА-ЯЁЂ-ЏҐ" + _CASELESS
_CLASS_QUOTES = re.escape(_QUOTES)

_PREFIX_CLASS = f"[§%=—–…{re.escape(_MARKS)}{_CLASS_QUOTES}{re.escape(_CURRENCY)}{_SYMBOLS}]"
_PREFIX = re.compile(rf"US\$|C\$|A\$|\.\.+|\+(?![0-9])|{_PREFIX_CLASS}")
_URL = re.compile(
    r"(?:[\w+.\-]{2,}://)?(?:\S+(?::\S*)?@)?"
    r"(?:[1-9]\d{0,2}(?:\.\d{1,3}){3}"
    r"|(?:(?:[A-Za-z0-9\u00a1-\uffff][A-Za-z0-9\u00a1-\uffff_-]{0,62})?[A-Za-z0-9\u00a1-\uffff]\.)+"
    rf"[{_LOWER}]{{2,63}})"
    r"(?::\d{2,5})?(?:[/?#]\S*)?"
)
MAX_URL_CHARS = 4096
"""Longer runs of characters are never recognised as a URL, because the regular expression would take too long (our
choice)."""
_INFIX = re.compile(
    rf"\.\.+|…|{_ICON}|(?<=[0-9])[+\-*^](?=[0-9-])|(?<=[{_LOWER}{_CLASS_QUOTES}])\.(?=[{_UPPER}{_CLASS_QUOTES}])"
    rf"|(?<={_LETTER}),(?={_LETTER})|(?:(?<={_LETTER})|(?<=[0-9]))(?:-|–|—|--|---|——|~)(?={_LETTER})"
    rf"|(?:(?<={_LETTER})|(?<=[0-9]))[:<>=/](?={_LETTER})"
)


def split(chunk: str) -> tuple[str, ...]:
    """Returns the words and marks in a text without white space. An empty text has none.

    >>> split("don't"), split("(U.K.,"), split("e.g."), split("well-known?!")
    (('do', "n't"), ('(', 'U.K.', ','), ('e.g.',), ('well', '-', 'known', '?', '!'))
    """
    if not chunk:
        return ()
    if chunk.isalpha() and chunk not in exceptions():
        return (chunk,)
    known = exceptions()
    if chunk in known:
        return known[chunk]
    return _with_exceptions_inside(_split(chunk, known))


Exceptions = Mapping[str, tuple[str, ...]]


def _split(chunk: str, known: Exceptions) -> tuple[str, ...]:
    middle, before, after = _without_affixes(chunk, known)
    words = known.get(middle) or ((middle,) if _is_url(middle) else tuple(_split_inside(middle)))
    return (*before, *words, *reversed(after))


def _with_exceptions_inside(words: tuple[str, ...]) -> tuple[str, ...]:
    """Corrects the split of a run that contains an exception (a string that the general rules split wrongly). For
    example, ``come--Mr.`` contains the exception ``Mr.``.

    If neighbouring words together form an exception, they are replaced by the words of its correct split.
    """
    if len(words) < 2:
        return words
    runs = _runs()
    found = [
        (len(pattern), start, parts)
        for start, word in enumerate(words)
        for pattern, parts in runs.get(word, ())
        if words[start : start + len(pattern)] == pattern
    ]
    if not found:
        return words
    taken: dict[int, tuple[int, tuple[str, ...]]] = {}
    covered: set[int] = set()
    for length, start, parts in sorted(found, key=lambda one: (-one[0], one[1])):  # longest first, as in spaCy
        if covered.isdisjoint(range(start, start + length)):
            covered.update(range(start, start + length))
            taken[start] = length, parts
    result: list[str] = []
    at = 0
    while at < len(words):
        length, parts = taken.get(at, (1, (words[at],)))
        result += parts
        at += length
    return tuple(result)


@cache
def _runs() -> Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]:
    """Returns the exceptions that the general rules split into several words, but not into the correct ones.

    The result is a dict. A key is the first word of a wrong split. Its value has one pair for each exception whose
    wrong split begins with this word: the words of the wrong split, and the words of the correct split.
    """
    found: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for text, parts in exceptions().items():
        pattern = _split(text, {})
        if len(pattern) > 1 and pattern != parts:
            found.setdefault(pattern[0], []).append((pattern, parts))
    return {first: tuple(runs) for first, runs in found.items()}


def _without_affixes(chunk: str, known: Exceptions) -> tuple[str, list[str], list[str]]:
    before: list[str] = []
    after: list[str] = []
    while chunk and len(before) + len(after) < MAX_AFFIXES:
        if chunk in known:
            break
        prefix = _PREFIX.match(chunk)
        num_before = prefix.end() if prefix else 0
        if num_before and chunk[num_before:] in known:
            before.append(chunk[:num_before])
            chunk = chunk[num_before:]
            break
        num_after = _suffix_length(chunk[num_before:])
        if num_after and chunk[:-num_after] in known:
            after.append(chunk[-num_after:])
            chunk = chunk[:-num_after]
            break
        if not num_before and not num_after:
            break
        if num_before:
            before.append(chunk[:num_before])
        if num_after:
            after.append(chunk[-num_after:])
        chunk = chunk[num_before : len(chunk) - num_after]
    return chunk, before, after


_SUFFIX_CHARS = frozenset(_MARKS + _QUOTES + "…—–")
_POSSESSIVE = ("'s", "'S", "’s", "’S")
_IS_ICON = re.compile(_ICON)
_DOTS = re.compile(r"\.\.+$")
_BEFORE_DOT_CLASS = rf"[0-9{_LOWER}…%²\-+{_CLASS_QUOTES}{re.escape(_MARKS)}|]"
_BEFORE_DOT = re.compile(rf"{_BEFORE_DOT_CLASS}$|[{_UPPER}]{{2}}$")
_TEMPERATURE = re.compile(r"°[FfCcKk]\.$")


def _suffix_length(chunk: str) -> int:
    """Returns the length of the longest mark or unit at the end of the text, or 0 if there is none."""
    if not chunk:
        return 0
    last = chunk[-1]
    if last == ".":
        if dots := _DOTS.search(chunk):
            return len(dots[0])
        return 1 if _TEMPERATURE.search(chunk) or _BEFORE_DOT.search(chunk[:-1]) else 0
    if chunk.endswith(_POSSESSIVE):
        return 2
    if last in _SUFFIX_CHARS:
        return 2 if chunk.endswith("……") else 1
    if unit := _unit().search(chunk):
        return len(unit[0])
    return 1 if _IS_ICON.match(last) else 0


@cache
def _unit() -> re.Pattern[str]:
    """Returns a pattern that matches a unit after a number at the end of a text."""
    either = "|".join(map(re.escape, units()))
    return re.compile(rf"(?<=[0-9])(?:{either})$")


def units() -> list[str]:
    """Returns the units, the currencies and the plus sign. If one of them follows a number and ends a run of
    characters, as ``km`` in ``5km``, it is split off as a separate word."""
    return [*sorted(_data()["units"].split(), key=len, reverse=True), "US$", "C$", "A$", *_CURRENCY, "+"]


def first_pairs() -> frozenset[str]:
    """Returns one string for each exception that the general rules split into wrong words (see ``_runs``): the first
    two of the wrong words, joined."""
    return frozenset("".join(pattern[:2]) for runs in _runs().values() for pattern, _ in runs)


def character_classes() -> dict[str, str]:
    """Returns a dict from the name of a class of characters, such as "prefix", to a regular expression that matches one
    character of this class."""
    return {
        "prefix": _PREFIX_CLASS,
        "suffix": f"[{re.escape(''.join(sorted(_SUFFIX_CHARS)))}]",
        "icon": _ICON,
        "lower": f"[{_LOWER}]",
        "upper": f"[{_UPPER}]",
        "quote": f"[{_CLASS_QUOTES}]",
        "letter": _LETTER,
        "before_dot": _BEFORE_DOT_CLASS,
        "digit": "[0-9]",
        "infix": rf"(?:{_ICON}|[.…+\-*^,–—~:<>=/])",
    }


def _is_url(text: str) -> bool:
    return "." in text and len(text) <= MAX_URL_CHARS and _URL.fullmatch(text) is not None


def _split_inside(text: str) -> Iterator[str]:
    start = 0
    for match in _INFIX.finditer(text):
        if match.start() == 0:
            continue
        if match.start() > start:
            yield text[start : match.start()]
        yield match[0]
        start = match.end()
    if start < len(text):
        yield text[start:]


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(_DATA.read_text("utf-8"))
    return data


@cache
def exceptions() -> dict[str, tuple[str, ...]]:
    """Returns a dict. Each key is a run of characters that the rules would split wrongly. The value is a tuple of
    the words into which the run is split.

    >>> exceptions()["shouldn’t"], exceptions()["10am"], exceptions()["Mr."]
    (('should', 'n’t'), ('10', 'am'), ('Mr.',))
    """
    data = _data()
    found: dict[str, tuple[str, ...]] = {}
    for parts in _contractions(data["contractions"]):
        for form in (parts, (parts[0].capitalize(), *parts[1:])):
            for one in (form, tuple(part.replace("'", "’") for part in form)):
                found["".join(one)] = one
    for number in range(1, data["hours"]["numbers"] + 1):
        for half in data["hours"]["halves"]:
            found[f"{number}{half}"] = (str(number), half)
    for one in data["contractions"]["lower_only"]:
        parts = tuple(one.split("|"))
        for form in (parts, tuple(part.replace("'", "’") for part in parts)):
            found["".join(form)] = form
    whole = [*data["stopped"].split(), *data["faces"].split(), *(f"{one}." for one in data["single_letters"].split())]
    for word in whole:
        for form in (word, word.replace("'", "’")):
            found[form] = (form,)
    for degree in "cCfFkK":
        found[f"°{degree}."] = ("°", degree, ".")
    return found


def _contractions(data: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yields the parts of each contraction in lower case, including forms that are written without an apostrophe."""
    not_bare = set(data["not_bare"].split())
    forms = [(word, tail) for word, tails in data["pronouns"].items() for tail in tails.split()]
    more = [(word, tail, "'ve") for word, tail in forms if tail in ("'ll", "'d")]
    negated = [(word, "n't") for word in data["negated"].split()]
    more += [(word, "n't", "'ve") for word in data["negated_have"].split()]
    for parts in (*forms, *negated, *more):
        yield parts
        bare = (parts[0], *(tail.replace("'", "") for tail in parts[1:]))
        if "".join(bare) not in not_bare and "'".join((parts[0], bare[1])) not in not_bare:
            yield bare
    yield ("it", "'s")
    yield from ((*one.split("|"),) for one in data["others"])
