"""Reads and writes numbers with the decimal sign and the thousands separator of each wiki.

A number with two possible readings is returned as the author wrote it, so that its value never changes.
"""

from __future__ import annotations

import re

_POINT_LANGUAGES = frozenset({"en"})
"""Languages that write 1,234.5. All other languages in the LLaMA paper's list of Wikipedias have a decimal comma."""
_THOUSANDS = dict.fromkeys(("ca", "da", "de", "hr", "nl", "ro", "sl", "sr"), ".") | {"en": ","}
"""Separator between groups of three digits. Wikis not listed use a space (MediaWiki's ``$separatorTransformTable``)."""
_MIN_DIGITS_TO_GROUP = dict.fromkeys(("bg", "es", "pl", "pt"), 5)
"""Numbers with fewer digits than this are not grouped. For example, Spanish writes 1234 without a separator. Wikis that
are not listed group numbers from 4 digits (MediaWiki's ``$minimumGroupingDigits``)."""
_PLAIN = re.compile(r"([-−+±~]?)([0-9]{1,40})(?:([.,])([0-9]{1,40}))?")
_GROUPED = re.compile(r"([-−+±~]?)([0-9]{1,3})(?:([ .,'’])[0-9]{3}(?:\3[0-9]{3}){0,12})(?:([.,])([0-9]{1,40}))?")
_MIXED = re.compile(r"([-−+]?[0-9]{1,9})[+ ]([0-9]{1,4})\s?[/⁄]{1,2}\s?([0-9]{1,4})")
_FRACTION = re.compile(r"[-−+]?[0-9]{1,9}\s?[/⁄]{1,2}\s?[0-9]{1,6}")
_POWER = re.compile(r"([-−+]?[0-9.,]{1,40})[eE]([-+]?[0-9]{1,3})")


def is_number(word: str) -> bool:
    """Returns True if the word is a number in any form that :func:`local_number` reads.

    >>> [is_number(word) for word in ("5", "5,5", "8+1/2", "1 234", "1e6", "km", "")]
    [True, True, True, True, True, False, False]
    """
    return any(form.fullmatch(word) for form in (_PLAIN, _GROUPED, _MIXED, _FRACTION, _POWER))


def group_digits(number: str, language: str) -> str:
    """Writes a plain number with the decimal sign and the thousands separator of the language.

    The number may have a decimal point, as programs write it, or a decimal comma. Other text is returned unchanged.
    In some languages, a number of four digits has no separator.

    >>> group_digits("1234567.5", "en"), group_digits("3769495", "de"), group_digits("12 km", "de")
    ('1,234,567.5', '3.769.495', '12 km')
    >>> group_digits("12,25", "ro"), group_digits("1234,5", "fr"), group_digits("1234", "es")
    ('12,25', '1 234,5', '1234')
    """
    match = _PLAIN.fullmatch(number)
    if match is None:
        return number
    sign, digits, mark, fraction = match.groups()
    if mark == "," and language in _POINT_LANGUAGES:
        is_thousands = len(fraction) == 3 and len(digits) <= 3 and digits != "0"
        return number if not is_thousands else sign + _grouped(digits + fraction, language)
    decimal = "." if language in _POINT_LANGUAGES else ","
    return sign + _grouped(digits, language) + (decimal + fraction if fraction else "")


def _grouped(digits: str, language: str) -> str:
    if len(digits) < _MIN_DIGITS_TO_GROUP.get(language, 4) or digits[0] == "0":
        return digits
    head = len(digits) % 3
    groups = [digits[:head]] if head else []
    groups += [digits[i : i + 3] for i in range(head, len(digits), 3)]
    return _THOUSANDS.get(language, " ").join(groups)


def local_number(number: str, language: str) -> str:
    """Converts a number that an editor typed into a template to the form of the wiki's language.

    Editors use the wiki's own separators or the English separators. Some wikis use a decimal comma. There, a single
    point or comma before three digits is ambiguous: it can be a decimal sign or a separator. Such a number is returned
    unchanged.

    >>> local_number("5,5", "fr"), local_number("5.5", "fr"), local_number("1.234", "de"), local_number("1,234", "en")
    ('5,5', '5,5', '1.234', '1,234')
    >>> local_number("1.234.567,8", "fr"), local_number("12,345,678", "da"), local_number("8+1/2", "en")
    ('1 234 567,8', '12.345.678', '8 1/2')
    >>> local_number("1600", "en"), local_number("1e6", "de"), local_number("many", "en")
    ('1,600', '1×10^6', 'many')
    """
    if number.isascii() and number.isdigit():
        return _grouped(number, language) if len(number) <= 40 else number
    if (mixed := _MIXED.fullmatch(number)) is not None:
        return f"{mixed[1]} {mixed[2]}/{mixed[3]}"
    if _FRACTION.fullmatch(number):
        return number.replace("//", "/")
    if (power := _POWER.fullmatch(number)) is not None:
        return f"{local_number(power[1], language)}×10^{power[2].lstrip('+')}"
    if (plain := _PLAIN.fullmatch(number)) is not None:
        is_ambiguous = plain[3] and len(plain[4]) == 3 and len(plain[2]) <= 3 and plain[2] != "0"
        is_odd = plain[3] == "," and language in _POINT_LANGUAGES
        return number if is_ambiguous or is_odd else group_digits(number, language)
    grouped = _GROUPED.fullmatch(number)
    if grouped is None or grouped[3] == grouped[4]:
        return number
    whole = number[len(grouped[1]) :]
    if grouped[4]:
        whole = whole[: whole.rindex(grouped[4])]
    digits = "".join(filter(str.isdigit, whole))
    return group_digits(f"{grouped[1]}{digits}" + (f".{grouped[5]}" if grouped[5] else ""), language)
