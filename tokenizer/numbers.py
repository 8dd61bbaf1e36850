"""Reads numbers as people write them: 100_000_000, 1e8, 100M and 0.1B are the same number, in flags and in YAML. Writes
numbers with their nouns.
"""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from typing import Any

_MAX_EXPONENT = 30
"""Largest exponent, positive or negative. Our choice: a number with a larger exponent is a typing error, and would take
unlimited time as an exact decimal."""
_SUFFIXES = {letter: Decimal(1000) ** power for power, letter in enumerate("KMBT", 1)}


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun in singular or plural.

    >>> counted(1, "record"), counted(1200, "record")
    ('1 record', '1,200 records')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number_of(value: Any) -> Decimal | None:
    """Converts a text or a number to a Decimal. Underscores, exponents, and the suffixes K, M, B and T (powers of
    1,000) are allowed.

    Returns None if the value is not a finite number, or if its exponent is not from -30 to 30.

    >>> number_of("1_000"), number_of("100M"), number_of("1e8") == number_of("0.1B"), number_of("1e999"), number_of("x")
    (Decimal('1000'), Decimal('100000000'), True, None, None)
    """
    text = str(value).strip().replace("_", "")
    scale = _SUFFIXES.get(text[-1:].upper(), Decimal(1))
    try:
        number = Decimal(text[:-1].rstrip() if scale != 1 else text)
    except InvalidOperation:
        return None
    return number * scale if number.is_finite() and abs(number.adjusted()) <= _MAX_EXPONENT else None


def whole_number(value: Any) -> int | None:
    """Returns a whole number given as text or as a number, or None if the value is no whole number.

    >>> whole_number("1.4T"), whole_number(1e8), whole_number("1.5"), whole_number(True)
    (1400000000000, 100000000, None, None)
    """
    number = None if isinstance(value, bool) else number_of(value)
    return None if number is None or number != number.to_integral_value() else int(number)


def count_flag(text: str) -> int:
    """Converts the text of a flag, such as ``300K``, to a whole number. Pass this function to argparse as ``type``.

    Raises:
        argparse.ArgumentTypeError: the text is not a whole number from 0 to below 2**62.

    >>> count_flag("300K")
    300000
    """
    number = whole_number(text)
    if number is None or not 0 <= number < 2**62:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, such as 1000000, 1M or 1e6")
    return number


def tokens_flag(text: str) -> int:
    """Converts the text of a flag, such as ``100M``, to a number of tokens. Pass this function to argparse as ``type``.

    Raises:
        argparse.ArgumentTypeError: the text is not a whole number from 1 to below 2**62.

    >>> tokens_flag("100M")
    100000000
    """
    number = whole_number(text)
    if number is None or not 1 <= number < 2**62:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number of tokens, such as 1000000, 100M, 1.4T or 1.4e12"
        )
    return number
