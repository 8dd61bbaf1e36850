"""Templates whose words take more than a pattern: measures, dates, numbers, lists.

Each rule is a pure function of a call's arguments and the wiki's language, named in ``templates.yaml`` as ``fn:NAME``.
What a rule cannot read it gives back as plain words or not at all; it never raises on what a page says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_THOUSANDS = dict.fromkeys(("ca", "da", "de", "hr", "it", "nl", "pt", "ro", "sl", "sr"), ".") | {"en": ","}
"""Between groups of three digits; a space elsewhere (MediaWiki's own ``$separatorTransformTable``)."""
_NUMBER = re.compile(r"([-−+]?)([0-9]{1,40})(?:([.,])([0-9]{1,40}))?")
_MONTHS_EN = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_RANGE_WORDS = frozenset(
    ("to", "-", "–", "—", "and", "and(-)", "or", "x", "×", "by", "to(-)", "to about", "+/-", "±", "+", ",", "xx", "*")
)
_MAX_LIST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class TemplateCall:
    """One use of a template: its arguments, already plain text."""

    positional: Sequence[str]
    named: Mapping[str, str]
    language: str

    def get(self, number: int) -> str:
        """The ``number``-th argument without a name (from 1), or nothing."""
        return self.positional[number - 1] if 0 < number <= len(self.positional) else ""


def group_digits(number: str, language: str) -> str:
    """Writes a plain number as the language's readers see it; anything else comes back as it is.

    >>> group_digits("1234567.5", "en"), group_digits("3769495", "de"), group_digits("12 km", "de")
    ('1,234,567.5', '3.769.495', '12 km')
    """
    match = _NUMBER.fullmatch(number)
    if match is None:
        return number
    sign, digits, _, fraction = match.groups()
    separator = _THOUSANDS.get(language, " ")
    if len(digits) > 3:
        head = len(digits) % 3
        groups = [digits[:head]] if head else []
        groups += [digits[i : i + 3] for i in range(head, len(digits), 3)]
        digits = separator.join(groups)
    return sign + digits + (("." if language == "en" else ",") + fraction if fraction else "")


def _convert(call: TemplateCall) -> str:
    """``{{convert|10|to|17|m|ft}}`` gives the measure as the article's writer gave it: "10 to 17 m".

    >>> _convert(TemplateCall(["5", "ft", "11", "in", "m"], {}, "en"))
    '5 ft 11 in'
    >>> _convert(TemplateCall(["1600", "km", "mi"], {}, "en"))
    '1,600 km'
    """
    words = list(call.positional)
    if not words:
        return ""
    out = [group_digits(words[0].replace(",", ""), call.language)]
    index = 1
    while index + 1 < len(words) and words[index] in _RANGE_WORDS:
        out += [words[index].removesuffix("(-)"), group_digits(words[index + 1].replace(",", ""), call.language)]
        index += 2
    if index < len(words):
        out.append(words[index])
    if index + 3 <= len(words) and _NUMBER.fullmatch(words[index + 1]) and len(words) > index + 3:
        out += words[index + 1 : index + 3]  # feet and inches; a lone number behind the unit is the precision
    return " ".join(out).replace(" – ", "–").replace(" - ", "–")


def _number_unit(call: TemplateCall) -> str:
    """``{{unité|5000|km|2}}`` gives "5 000 km2"; a further number is an exponent of the unit before it."""
    number, _, unit_in_number = call.get(1).partition(" ")
    if unit_in_number[:1].isdigit():  # groups of digits, parted by the writer
        number, unit_in_number = number + " " + unit_in_number, ""
    out = f"{group_digits(number, call.language)} {unit_in_number}".strip()
    rest = list(call.positional[1:])
    if call.language != "fr":
        rest = rest[:1]
    for word in rest:
        out += word if word.lstrip("-").isdigit() and len(word) < 3 else " " + word
    exponent = call.named.get("e", "")
    unit = call.named.get("ul") or call.named.get("u") or ""
    return " ".join((out + (f"×10^{exponent}" if exponent else "") + " " + unit).split())


def _height(call: TemplateCall) -> str:
    return f"{group_digits(call.get(1), call.language)} m" if call.get(1) else ""


def _formatnum(call: TemplateCall) -> str:
    number = call.get(1)
    return number if call.get(2).lower() == "r" else group_digits(number.replace(",", ""), call.language)


def _fraction(call: TemplateCall) -> str:
    """``{{frac|3|1|2}}`` is "3 1/2", ``{{frac|4}}`` is "1/4"."""
    match [word for word in call.positional if word][:3]:
        case [one]:
            return f"1/{one}"
        case [upper, lower]:
            return f"{upper}/{lower}"
        case [whole, upper, lower]:
            return f"{whole} {upper}/{lower}"
    return ""


def _val(call: TemplateCall) -> str:
    out = group_digits(call.get(1), call.language)
    if call.get(2):
        out += f"±{call.get(2)}"
    if call.named.get("e"):
        out = f"{out}×10^{call.named['e']}" if out else f"10^{call.named['e']}"
    unit = call.named.get("u") or call.named.get("ul") or ""
    return f"{call.named.get('p', '')}{out} {unit}".strip() + call.named.get("s", "")


def _date(call: TemplateCall) -> str:
    """``{{start date|2007|10|5}}``: year, month, day as far as they are given."""
    parts = [word for word in call.positional[:3] if word]
    if not parts or not all(part.isdigit() and len(part) < 5 for part in parts):
        return " ".join(call.positional[:1])
    if len(parts) == 1:
        return parts[0]
    if call.language != "en" or not 1 <= int(parts[1]) <= 12:
        return "-".join(part.zfill(2) for part in parts)
    month = _MONTHS_EN[int(parts[1]) - 1]
    if len(parts) == 2:
        return f"{month} {parts[0]}"
    day = str(int(parts[2]))
    return f"{day} {month} {parts[0]}" if call.named.get("df") else f"{month} {day}, {parts[0]}"


def _date_text(call: TemplateCall) -> str:
    """``{{date|11|novembre|1866|en linguistique}}``: day, month and year stand as the writer gave them."""
    parts = [word for word in call.positional if word]
    return " ".join(parts[:3]) if len(parts) > 1 else " ".join(parts)


def _as_of(call: TemplateCall) -> str:
    if call.named.get("alt"):
        return call.named["alt"]
    when = _date(TemplateCall(call.positional, {"df": "y"}, call.language))
    word = "since" if call.named.get("since") else "as of"
    return f"{word if call.named.get('lc') else word.capitalize()} {when}" if when else ""


def _century_es(call: TemplateCall) -> str:
    """``{{siglo|XIX}}``, ``{{siglo|V|a||s}}`` (before our era, with the word itself)."""
    era = {"a": " a. C.", "d": " d. C."}.get(call.get(2), "")
    word = "siglo " if call.get(4).lower() == "s" or call.get(3).lower() == "s" else ""
    return f"{word}{call.get(1)}{era}" if call.get(1) else ""


def _clock_fr(call: TemplateCall) -> str:
    units = ("h", "min", "s")
    return " ".join(f"{word} {unit}" for word, unit in zip(call.positional, units, strict=False) if word)


def _ordinal(call: TemplateCall) -> str:
    number = call.get(1)
    if not number.isdigit():
        return number
    ending = "th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    return number + ending


def _ipac(call: TemplateCall) -> str:
    """``{{IPAc-en|ˈ|p|aɪ|r|ə|s}}`` is "/ˈpaɪrəs/"."""
    labels = {"lang", "local", "pron", "us", "uk", "ipa", "audio", "both", "alt", "also", "en-us"}
    sounds = [s for s in call.positional if s.lower() not in labels and "." not in s[1:]]
    return f"/{''.join(sounds)}/".replace("_", " ") if sounds else ""


def _nihongo(call: TemplateCall) -> str:
    words = [word for word in call.positional[:3] if word]
    if call.get(1):
        return f"{words[0]} ({', '.join(words[1:])})" if len(words) > 1 else words[0]
    return ", ".join(words)


def _named_words(call: TemplateCall) -> str:
    """``{{zh|s=汉语|p=hànyǔ}}``: the writings of a name in the order given."""
    skipped = {"first", "links", "labels", "scase", "link", "label", "out", "kurz", "context", "lang"}
    words = [*call.positional, *(value for name, value in call.named.items() if name not in skipped)]
    return ", ".join(word for word in words if word)


def _interlanguage(call: TemplateCall) -> str:
    """A link to another language's article: its label, or else its title."""
    named = call.named
    label = named.get("lt") or named.get("display") or named.get("text") or ""
    if not label and call.language in ("ru", "uk", "bg", "sr"):
        label = call.get(2)
    return label or named.get("текст", "") or call.get(1)


def _currency(call: TemplateCall) -> str:
    signs = {"USD": "$", "US": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
    code = (call.get(2) or "USD").upper()
    amount = call.get(1)
    return (f"{signs[code]}{amount}" if code in signs else f"{code} {amount}") if amount else ""


def _music(call: TemplateCall) -> str:
    signs = {"sharp": "♯", "#": "♯", "flat": "♭", "b": "♭", "natural": "♮", "doublesharp": "𝄪", "doubleflat": "𝄫"}
    return signs.get(call.get(1), "")


def _list(call: TemplateCall) -> str:
    items = [word for word in call.positional if word][:_MAX_LIST_ITEMS]
    return "\n" + "".join(f"* {item}\n" for item in items)


def _coordinates(call: TemplateCall) -> str:
    """``{{coord|33|6|39|N|117|9|13|W}}`` is "33°6′39″N 117°9′13″W"; where it shows beside the title only, nothing."""
    where = call.named.get("display", "inline")
    if "inline" not in where and where not in ("", "i", "it", "ti"):
        return ""
    out: list[str] = []
    numbers: list[str] = []
    for word in call.positional[:8]:
        if word in ("N", "S", "E", "W"):
            out.append("".join(n + sign for n, sign in zip(numbers, "°′″", strict=False)) + word)
            numbers = []
        elif _NUMBER.fullmatch(word) and len(numbers) < 3:
            numbers.append(word)
        else:
            break
    if len(out) == 2:
        return " ".join(out)
    return f"{numbers[0]}, {numbers[1]}" if not out and len(numbers) == 2 else ""


def _last(call: TemplateCall) -> str:
    return call.positional[-1] if call.positional else ""


RULES: Mapping[str, Callable[[TemplateCall], str]] = {
    "as_of": _as_of, "century_es": _century_es, "clock_fr": _clock_fr, "convert": _convert,
    "coordinates": _coordinates, "currency": _currency,
    "date": _date, "date_text": _date_text, "formatnum": _formatnum, "fraction": _fraction,
    "interlanguage": _interlanguage, "ipac": _ipac, "last": _last, "list": _list, "music": _music,
    "named_words": _named_words, "nihongo": _nihongo, "number_unit": _number_unit, "number_unit_m": _height,
    "ordinal": _ordinal, "val": _val,
}  # fmt: skip
"""The rules by the names that ``templates.yaml`` uses."""
