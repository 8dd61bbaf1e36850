"""Contains rules for templates that show measures, numbers and dates. Each rule returns the words that a template's
call shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from filters.wikitext.number_syntax import group_digits, is_number, local_number
from filters.wikitext.template_call import TemplateCall
from filters.wikitext.wiki_names import month_names

_RANGE_WORDS = frozenset(
    (
        *("to", "-", "–", "—", "and", "and(-)", "or", "x", "×", "by", "to(-)", "to about", "+/-", "±", "+", ",", "xx"),
        *(
            "*",
            "a",
            "à",
            "bis",
            "till",
            "til",
            "tot",
            "do",
            "до",
            "e",
            "y",
            "et",
            "und",
            "och",
            "og",
            "en",
            "i",
            "и",
            "і",
        ),
        *("ou", "o", "oder", "eller", "of", "lub", "nebo", "sau", "ili", "или", "або", "al", "per", "și", "ja", "in"),
    )
)
_DASHES = {"-": "–", "to(-)": "–", "and(-)": "and", "–": "–", "—": "–", "xx": "×", "*": "×", "x": "×", "+/-": "±"}
_COMPOUND = frozenset({"ft", "foot", "feet", "yd", "mi", "lb", "st", "chain", "furlong", "m", "km", "hand", "long ton"})
"""Units that can be followed by a smaller one: 5 ft 11 in."""
_UNITS = {
    "C": "°C", "F": "°F", "c": "°C", "f": "°F", "sqmi": "sq mi", "sqft": "sq ft", "sqyd": "sq yd", "sqin": "sq in",
    "cuft": "cu ft", "cuin": "cu in", "cuyd": "cu yd", "cumi": "cu mi", "impgal": "imp gal", "usgal": "US gal",
    "USgal": "US gal", "floz": "fl oz", "longton": "long ton", "shortton": "short ton", "ftin": "ft in", "kph": "km/h",
    "kmh": "km/h", "kn": "knots", "p/sqkm": "/km²", "PD/sqkm": "/km²", "PD/sqmi": "/sq mi", "inhabitants/km2": "/km²",
}  # fmt: skip
_POWER = re.compile(r"((?:[kcdmn]|[µμ])?m|km|mi|ft|in|yd|м|км|см)([23])")
_SUPERSCRIPT = {"2": "²", "3": "³"}
_LIST_NUMBER = re.compile(r"[0-9]{1,4}")
_GAUGE = re.compile(r"([0-9]+(?:[.,][0-9]+)?(?:\+?[0-9]+/[0-9]+)?)\s*(mm|cm|m|ft|in|″|′)")
_GAUGES = {
    "sg": "1,435 mm",
    "std": "1,435 mm",
    "standard": "1,435 mm",
    "ussg": "1,435 mm",
    "metre": "1,000 mm",
    "meter": "1,000 mm",
}
_SHORT_SCALES = {
    "l": "lakh", "lakh": "lakh", "c": "crore", "crore": "crore", "lc": "lakh crore", "k": "thousand", "m": "million",
    "b": "billion", "t": "trillion",
}  # fmt: skip
_DATE_NUMBER = re.compile(r"[0-9]+|[0-9]{4}-[0-9-]{1,5}")
_ROMAN = ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))


def unit_of(code: str) -> str:
    """Returns the symbol of a unit, such as "km²", for the code that templates use, such as ``km2``.

    >>> unit_of("km2"), unit_of("C"), unit_of("sqmi"), unit_of("kg")
    ('km²', '°C', 'sq mi', 'kg')
    """
    power = _POWER.fullmatch(code)
    return power[1] + _SUPERSCRIPT[power[2]] if power else _UNITS.get(code, code)


def _convert(call: TemplateCall) -> str:
    """Returns a measure in the author's unit, without the converted value: ``{{convert|10|to|17|m|ft}}`` shows "10 to
    17 m".

    >>> _convert(TemplateCall(["5", "ft", "8+1/2", "in", "m"], {}, "en"))
    '5 ft 8 1/2 in'
    >>> _convert(TemplateCall(["1600", "km", "mi"], {}, "en")), _convert(TemplateCall(["5,5", "km", "2"], {}, "ro"))
    ('1,600 km', '5,5 km')
    """
    words = [word for word in call.positional if word]
    if not words:
        return ""
    out = [local_number(words[0], call.language)]
    index = 1
    while index + 1 < len(words) and words[index] in _RANGE_WORDS and is_number(words[index + 1]):
        out += [_DASHES.get(words[index], words[index]), local_number(words[index + 1], call.language)]
        index += 2
    if index < len(words):
        out.append(unit_of(words[index]))
        is_compound = words[index] in _COMPOUND and index + 2 < len(words) and is_number(words[index + 1])
        if is_compound:  # otherwise a number after the unit is the precision
            out += [local_number(words[index + 1], call.language), unit_of(words[index + 2])]
    return " ".join(out).replace(" – ", "–")


def _number_unit(call: TemplateCall) -> str:
    """Returns a measure: ``{{unité|10|à|20|km|2}}`` shows "10 à 20 km²".

    The arguments are numbers, words between numbers, units, and exponents of units.

    >>> _number_unit(TemplateCall(["5000", "km", "2"], {}, "fr")), _number_unit(TemplateCall(["25000 km"], {}, "fr"))
    ('5 000 km²', '25 000 km')
    >>> _number_unit(TemplateCall(["1.5"], {"e": "6", "u": "m"}, "fr"))
    '1,5×10^6 m'
    """
    out = ""
    is_after_unit = False
    for position, word in enumerate(word for word in call.positional if word):
        if is_after_unit and word.lstrip("-−").isdigit() and len(word) < 3:
            out += _SUPERSCRIPT.get(word, f"^{word}")
            continue
        head, _, rest = word.partition(" ")
        if is_number(word) or not is_number(head):
            shown = local_number(word, call.language) if is_number(word) else unit_of(word)
        else:
            shown = word if rest[:1].isdigit() else f"{local_number(head, call.language)} {rest}"
        out = f"{out} {shown}" if position else shown
        is_after_unit = not is_number(word) and word not in _RANGE_WORDS and bool(position)
    exponent = call.named.get("e", "")
    unit = call.first_named("ul", "u", "unité", "unidad", "unidade", "единица")
    return " ".join((out + (f"×10^{exponent}" if exponent else "") + " " + unit_of(unit)).split())


def _with_unit(unit: str) -> Callable[[TemplateCall], str]:
    def rule(call: TemplateCall) -> str:
        return f"{local_number(call.get(1), call.language)} {unit}" if call.get(1) else ""

    return rule


def _height(call: TemplateCall) -> str:
    """Returns a height: ``{{height|ft=6|in=2}}`` shows "6 ft 2 in"."""
    parts = [f"{local_number(call.named[u], call.language)} {u}" for u in ("m", "cm", "ft", "in") if call.named.get(u)]
    return " ".join(parts) or _convert(call)


def _track_gauge(call: TemplateCall) -> str:
    """Returns the track gauge of a railway: ``{{track gauge|1435mm}}`` shows "1,435 mm"."""
    code = call.get(1).strip().lower()
    parts = [f"{local_number(match[1], call.language)} {match[2]}" for match in _GAUGE.finditer(code)]
    shown = _GAUGES.get(code) or " ".join(parts) or call.get(1)
    return f"{shown} gauge" if call.named.get("al") or call.named.get("allk") else shown


def _formatnum(call: TemplateCall) -> str:
    number = call.get(1)
    return number if call.get(2).lower() == "r" else group_digits(number, call.language)


def _local_number(call: TemplateCall) -> str:
    return local_number(call.get(1), call.language)


def _fraction(call: TemplateCall) -> str:
    """Returns a fraction: ``{{frac|3|1|2}}`` shows "3 1/2", ``{{frac|4}}`` shows "1/4"."""
    match [word for word in call.positional if word][:3]:
        case [one]:
            return one if "/" in one else f"1/{one}"
        case [upper, lower]:
            return f"{upper}/{lower}"
        case [whole, upper, lower]:
            return f"{whole} {upper}/{lower}"
    return ""


def _val(call: TemplateCall) -> str:
    out = local_number(call.get(1), call.language)
    if call.get(2):
        out += f"±{call.get(2)}"
    if call.named.get("e"):
        out = f"{out}×10^{call.named['e']}" if out else f"10^{call.named['e']}"
    unit = call.first_named("u", "ul")
    return f"{call.named.get('p', '')}{out} {unit}".strip() + call.named.get("s", "")


def _scaled_money(call: TemplateCall) -> str:
    """Returns an amount in rupees: ``{{INRConvert|5|c}}`` shows "₹5 crore"."""
    scale = _SHORT_SCALES.get(call.get(2).lower(), "")
    return f"₹{local_number(call.get(1), call.language)} {scale}".strip() if call.get(1) else ""


def _money(call: TemplateCall) -> str:
    """Returns an amount of money: ``{{currency|5|EUR}}`` shows "€5" in English. All other wikis put the sign last."""
    signs = {"USD": "$", "US": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "RUB": "₽", "UAH": "₴", "PLN": "zł"}
    first, second = call.get(1), call.get(2)
    amount, code = (first, second) if not first.isalpha() else (second, first)
    code = (code or "USD").upper()
    if not amount:
        return ""
    amount = local_number(amount, call.language)
    if call.language == "en":
        return f"{signs[code]}{amount}" if code in signs else f"{code} {amount}"
    return f"{amount} {signs.get(code, code)}"


def date_words(parts: list[str], language: str, *, is_day_first: bool = False) -> str:
    """Returns a date in the language's form. ``parts`` are year, month and day; day and month can be missing.

    >>> date_words(["2007", "10", "5"], "de"), date_words(["2007", "10"], "en"), date_words(["2007", "10", "5"], "en")
    ('5. Oktober 2007', 'October 2007', 'October 5, 2007')
    """
    names = month_names(language)
    if len(parts) == 1 or not 1 <= int(parts[1]) <= 12:
        return "-".join(part.zfill(2) for part in parts)
    month = int(parts[1]) - 1
    year = parts[0].lstrip("0") or parts[0]
    if len(parts) == 2:
        return f"{names.alone[month]} {year}"
    day = str(int(parts[2]))
    if language == "fr" and day == "1":
        day = "1er"
    if is_day_first and language == "en":
        return f"{day} {names.inflected[month]} {year}"
    return names.pattern.replace("{d}", day).replace("{m}", names.inflected[month]).replace("{y}", year)


def _date(call: TemplateCall) -> str:
    """Returns the date of ``{{start date|2007|10|5}}``. The day, or the day and the month, can be missing."""
    words = [word for word in call.positional[:3] if word]
    if len(words) == 1 and re.fullmatch(r"[0-9]{4}-[0-9]{1,2}(?:-[0-9]{1,2})?", words[0]):
        words = words[0].split("-")
    if not words or not all(word.isascii() and word.isdigit() and len(word) < 5 for word in words):
        return " ".join(call.positional[:1])
    if len(words) == 3 and len(words[2]) == 4 and len(words[0]) < 3:
        words.reverse()
    return date_words(words, call.language, is_day_first=bool(call.named.get("df")))


def _date_text(call: TemplateCall) -> str:
    """Returns a date: ``{{date|11|novembre|1866|en linguistique}}`` shows "11 novembre 1866".

    The month can also be a number.
    """
    words = [word for word in call.positional if word][:3]
    if words and all(_DATE_NUMBER.fullmatch(word) for word in words):
        return _date(TemplateCall(words, call.named, call.language))
    if call.language == "fr" and len(words) > 1 and words[0] == "1":
        words[0] = "1er"
    return " ".join(words)


def _old_style_date(call: TemplateCall) -> str:
    """Returns a date, and the same day in the Julian calendar (marked O.S. for "Old Style").

    ``{{OldStyleDate|7 April|1870|26 March}}`` shows "7 April [O.S. 26 March] 1870". All wikis except the English wiki
    show the Julian date first.
    """
    new, year, old = call.get(1), call.get(2), call.get(3)
    if not old:
        return f"{new} {year}".strip()
    if call.language == "en":
        return f"{new} [O.S. {old}] {year}".strip()
    return f"{old} ({new}) {year}".strip()


def _as_of(call: TemplateCall) -> str:
    if call.named.get("alt"):
        return call.named["alt"]
    when = _date(TemplateCall(call.positional, {"df": "y"}, call.language))
    word = "since" if call.named.get("since") else "as of"
    return f"{word if call.named.get('lc') else word.capitalize()} {when}" if when else ""


def _clock_fr(call: TemplateCall) -> str:
    """Returns a time or duration: ``{{heure|14|30}}`` and ``{{durée|14|30}}`` show "14 h 30"."""
    units = ("h", "min", "s")
    words = [(word, unit) for word, unit in zip(call.positional, units, strict=False) if word]
    shown = " ".join(f"{word} {unit}" for word, unit in words)
    return shown.removesuffix(" min") if len(words) > 1 else shown


def _ordinal(call: TemplateCall) -> str:
    number = call.get(1)
    if not number.isdigit():
        return number
    if call.language != "en":
        return f"{number}." if call.language not in ("es", "pt", "it") else f"{number}.º"
    ending = "th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    return number + ending


def roman(number: str) -> str:
    """Returns a century's number, from 1 to 39, in Roman digits. Text that is no such number is returned unchanged.

    >>> roman("19"), roman("XIX"), roman("4")
    ('XIX', 'XIX', 'IV')
    """
    if not (_LIST_NUMBER.fullmatch(number) and 0 < int(number) < 40):
        return number
    left, out = int(number), ""
    for value, sign in _ROMAN:
        while left >= value:
            out += sign
            left -= value
    return out


def _roman_century(call: TemplateCall) -> str:
    word = _CENTURY.get(call.language, "")
    return f"{roman(call.get(1))} {word}".strip() if call.get(1) else ""


_CENTURY = {"ru": "век", "uk": "століття", "bg": "век", "sr": "век", "pl": "wiek"}

MEASURE_RULES: Mapping[str, Callable[[TemplateCall], str]] = {
    "as_of": _as_of, "century_number": _roman_century, "clock_fr": _clock_fr, "convert": _convert, "currency": _money,
    "date": _date, "date_text": _date_text, "formatnum": _formatnum, "fraction": _fraction, "height": _height,
    "local_number": _local_number, "number_unit": _number_unit, "number_unit_m": _with_unit("m"),
    "old_style_date": _old_style_date, "ordinal": _ordinal, "scaled_money": _scaled_money, "track_gauge": _track_gauge,
    "val": _val,
}  # fmt: skip
"""Maps the names that ``templates.yaml`` uses to the rules."""
