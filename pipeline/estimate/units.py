"""Writes sizes and times as short texts. The unit depends on the number, because an input can have a few kilobytes or a
petabyte.
"""

from __future__ import annotations

_SIZES = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_MANY_SECONDS, _MANY_MINUTES = 120, 120


def size(num_bytes: float) -> str:
    """Returns a number of bytes as text, with three significant digits.

    >>> size(7_660), size(31_500_000), size(4.5e12), size(12), size(999_999)
    ('7.66 kB', '31.5 MB', '4.5 TB', '12 B', '1,000 kB')
    """
    for factor, unit in _SIZES:
        if num_bytes >= factor:
            return f"{_three(num_bytes / factor)} {unit}"
    return f"{num_bytes:.0f} B"


def cpu_time(hours: float) -> str:
    """Returns a time as text, in seconds, minutes or hours. ``hours`` is the time in hours.

    >>> cpu_time(0.0000022), cpu_time(0.01), cpu_time(0.5), cpu_time(3.217), cpu_time(12_345.6), cpu_time(0)
    ('under 1 s', '36 s', '30 min', '3.22 h', '12,346 h', '0 s')
    """
    seconds = hours * 3600
    if seconds <= 0:
        return "0 s"
    if seconds < 1:
        return "under 1 s"
    if seconds < _MANY_SECONDS:
        return f"{seconds:.0f} s"
    if seconds / 60 < _MANY_MINUTES:
        return f"{seconds / 60:.0f} min"
    return f"{_three(hours)} h"


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
