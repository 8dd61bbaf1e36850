"""Defines the prices from which the cost of a run is computed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Holds list prices in dollars. Prices change, so each price can be set by a flag.

    >>> Prices(cpu_hour=0.05).cpu_hour
    0.05
    """

    cpu_hour: float = 0.056
    memory_gb_hour: float = 0.003557
    shuffle_gb: float = 0.011
    disk_gb_month: float = 0.02
    """The price for storing one gigabyte in an object store for one month."""
