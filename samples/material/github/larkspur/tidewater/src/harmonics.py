#!/usr/bin/env python3
# Copyright (c) 2017 The Tidewater Authors
#
# Permission is hereby granted, free of charge, to any person obtaining a copy
# of this software, to deal in the software without restriction. See LICENSE.
"""Predicts the height of the tide from its harmonic constituents.

A tide is a sum of cosines whose speeds are known from astronomy; only their amplitudes and phases have to be
measured for each port.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Degrees per hour; the letters are those that Darwin gave them in 1883.
SPEEDS = {
    "M2": 28.9841042,  # the moon, twice a day
    "S2": 30.0000000,  # the sun, twice a day
    "N2": 28.4397295,  # the moon's distance
    "K1": 15.0410686,  # moon and sun, once a day
    "O1": 13.9430356,  # the moon, once a day
    "M4": 57.9682084,  # shallow water
}


@dataclass(frozen=True)
class Constituent:
    """One cosine: its name, its height in metres, and its phase in degrees at the epoch."""

    name: str
    amplitude_m: float
    phase_deg: float

    def height(self, hours: float) -> float:
        """Its part of the height of the tide, ``hours`` after the epoch."""
        angle = math.radians(SPEEDS[self.name] * hours - self.phase_deg)
        return self.amplitude_m * math.cos(angle)


def predict(constituents: list[Constituent], mean_level_m: float, hours: float) -> float:
    """The height of the water above the chart's datum."""
    return mean_level_m + sum(each.height(hours) for each in constituents)


def next_high_water(constituents: list[Constituent], start_hours: float) -> float:
    """The time of the first high water after ``start_hours``, to about a second."""
    step = 0.1
    previous = predict(constituents, 0.0, start_hours)
    hours = start_hours
    rising = False
    while True:
        hours += step
        now = predict(constituents, 0.0, hours)
        if rising and now < previous:
            return _refine(constituents, hours - 2 * step, hours)
        rising = now > previous
        previous = now


def _refine(constituents: list[Constituent], low: float, high: float) -> float:
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 0.0003:
        left = high - ratio * (high - low)
        right = low + ratio * (high - low)
        if predict(constituents, 0.0, left) > predict(constituents, 0.0, right):
            high = right
        else:
            low = left
    return (low + high) / 2
