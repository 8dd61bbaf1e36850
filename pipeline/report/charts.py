"""Draws charts as SVG with matplotlib. The charts need no scripts, and the page's style sheet sets their colours.

matplotlib draws in placeholder colours. In the SVG they are replaced by the page's CSS variables, so the same drawing
is used in dark and light mode. Text in a chart stays text and is not converted to outlines.
"""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from pipeline.report.documents import Floats

_COLOURS = {
    "ink": "#010203",
    "soft": "#010204",
    "kept": "#010205",
    "fell": "#010206",
    "other": "#010207",
    "limit": "#010208",
}
"""Maps each CSS variable to its placeholder colour. In the SVG, the variable replaces the colour."""
_STYLE: Any = {
    "text.parse_math": False,  # a name may contain dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 11.5,
    "text.color": _COLOURS["ink"],
    "axes.labelcolor": _COLOURS["ink"],
    "axes.edgecolor": _COLOURS["soft"],
    "xtick.color": _COLOURS["ink"],
    "ytick.color": _COLOURS["ink"],
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
_WIDTH, _HEIGHT = 5.0, 2.6
_LABEL_SIZE = 10.5
_CHAR_INCHES = 0.086
"""The average width in inches of a character in a label."""
_MAX_BINS = 40
_MAX_LABEL_CHARS = 30
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class LimitLine:
    """Describes a vertical line in the chart of a distribution. The line marks a limit, or a position with a name, for
    example the value at which a perplexity bucket ends.
    """

    value: float
    label: str
    brief: str = ""
    """A short text that is drawn if the label does not fit."""
    is_limit: bool = True


@dataclass(frozen=True, slots=True)
class Histogram:
    """Holds the values of a signal (a number that a step measures) in three groups: kept documents; documents that were
    dropped by a limit on this signal; and documents that were dropped for another reason.
    """

    title: str
    kept: Floats
    fell: Floats
    other: Floats
    lines: Sequence[LimitLine] = ()
    dropped_weight: float = 1.0
    """The weight of a dropped document relative to a kept one. It differs from 1 if dropped and kept documents were
    sampled at different rates.
    """


def histogram(data: Histogram) -> str:
    """Draws a distribution as SVG."""
    edges, is_log = bin_edges(data)
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(_WIDTH, _HEIGHT, left=0.55, bottom=0.32)
        below = np.zeros(len(edges) - 1)
        # Outliers are counted in the last bar. An axis long enough for them would flatten all other bars.
        weight = data.dropped_weight
        layers = (("kept", data.kept, 1.0), ("fell", data.fell, weight), ("other", data.other, weight))
        for name, values, weight in layers:
            counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] * weight
            if counts.any():
                axes.stairs(below + counts, edges, baseline=below, fill=True, color=_COLOURS[name], linewidth=0)
                below = below + counts
        if is_log:
            axes.set_xscale("symlog", linthresh=1.0, linscale=0.4)
        else:
            is_whole = _is_whole(np.concatenate([data.kept, data.fell, data.other]))
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=is_whole))
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_formatter(FuncFormatter(short))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(short))
        top = float(below.max()) if len(below) else 1.0
        for number, line in enumerate(sorted(data.lines, key=lambda one: one.value)):
            _draw_line(axes, line, number, top, edges)
        axes.set_ylim(0, (top or 1.0) * (1.08 + 0.12 * len(data.lines)))
        return _svg(figure, f"Distribution of {data.title}: {describe(data)}")


def _draw_line(axes: Any, line: LimitLine, number: int, top: float, edges: Floats) -> None:
    colour = _COLOURS["limit"] if line.is_limit else _COLOURS["soft"]
    axes.axvline(line.value, color=colour, linewidth=1.4, linestyle="--" if line.is_limit else ":")
    place = axes.transData.transform((line.value, 0))[0]
    left, right = (axes.transData.transform((edge, 0))[0] for edge in (edges[0], edges[-1]))
    is_right = place > (left + right) / 2
    room = (place - left if is_right else right - place) / axes.figure.dpi
    wordings = [line.label, line.label.partition(" (")[0], line.brief or line.label]
    label = next((text for text in wordings if text and _CHAR_INCHES * len(text) < room), wordings[-1])
    axes.annotate(_plain(label, 60), (line.value, (top or 1.0) * (1.04 + 0.12 * number)), color=colour,
                  fontsize=_LABEL_SIZE, xytext=(-3 if is_right else 3, 0), textcoords="offset points",
                  ha="right" if is_right else "left")  # fmt: skip


def bin_edges(data: Histogram) -> tuple[Floats, bool]:
    """Returns the edges of the bars of a histogram. The second value is True if the axis is logarithmic.

    >>> edges, is_log = bin_edges(Histogram("x", np.array([0.1, 0.9]), np.empty(0), np.empty(0)))
    >>> float(edges[0]), float(edges[-1]), is_log
    (0.0, 1.0, False)
    """
    values = np.concatenate([data.kept, data.fell, data.other])
    values = values[np.isfinite(values)]
    limits = [line.value for line in data.lines]
    if not len(values):
        values = np.array(limits or [0.0])
    low, median, high = (float(v) for v in np.percentile(values, [0, 50, 99.5]))
    high = float(values.max()) if _is_whole(values) and values.max() <= _MAX_BINS else high
    low, high = min([low, *limits]), max([high, *limits])
    if low >= 0 and high <= 1 and not _is_whole(values):
        return np.linspace(0, 1, _MAX_BINS + 1), False
    if low >= 0 and high > 20 * (median + 1):
        top = np.log1p(high * 1.05)
        edges = np.expm1(np.linspace(0, top, _MAX_BINS + 1))
        if _is_whole(values):  # so that every bar covers a whole number
            edges = np.unique(np.ceil(edges))
        return edges if len(edges) > 1 else np.array([0.0, 1.0]), True
    if _is_whole(values) and high - low <= _MAX_BINS:
        return np.arange(np.floor(low), np.floor(high) + 2), False
    margin = 0.02 * (high - low) or 1.0
    return np.linspace(0 if 0 <= low < 0.3 * high else low - margin, high + margin, _MAX_BINS + 1), False


def _is_whole(values: Floats) -> bool:
    return bool(np.all(values == np.floor(values)))


def describe(data: Histogram) -> str:
    """Returns a description of the distribution in words, for people who cannot see the chart."""
    parts = []
    for name, values in (
        ("kept", data.kept),
        ("dropped by this limit", data.fell),
        ("dropped for another reason", data.other),
    ):
        if len(values):
            low, median, high = np.percentile(values, [5, 50, 95])
            spread = f"5th to 95th percentile {short(low)} to {short(high)}"
            parts.append(f"{name}: {len(values):,}, median {short(median)}, {spread}")
    parts += [f"{'limit' if line.is_limit else 'mark'} {line.label}" for line in data.lines]
    return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Bar:
    """Describes a bar and the text beside it."""

    label: str
    value: float
    text: str
    colour: str = "kept"
    mark: float | None = None
    """The intended value, which a vertical line marks. None to draw no line."""


def bars(bars_: Sequence[Bar], *, alt: str, width: float = 5.2) -> str:
    """Draws horizontal bars as SVG. The first bar is at the top."""
    with mpl.rc_context(_STYLE):
        longest = max((min(len(bar.label), _MAX_LABEL_CHARS) for bar in bars_), default=0)
        left = min(2.6, 0.15 + 0.092 * longest)
        figure, axes = _figure(width, 0.1 + 0.29 * len(bars_), left=left, bottom=0.05)
        places = np.arange(len(bars_))[::-1]
        high = max([bar.value for bar in bars_] + [bar.mark or 0.0 for bar in bars_]) or 1.0
        axes.barh(places, [bar.value for bar in bars_], height=0.72, color=[_COLOURS[bar.colour] for bar in bars_])
        for place, bar in zip(places, bars_, strict=True):
            if bar.mark is not None:
                axes.plot([bar.mark] * 2, [place - 0.45, place + 0.45], color=_COLOURS["limit"], linewidth=2)
            end = (max(bar.value, bar.mark or 0), place)
            axes.annotate(_plain(bar.text, 60), end, xytext=(4, 0), textcoords="offset points", va="center",
                          fontsize=_LABEL_SIZE)  # fmt: skip
        axes.set_yticks(places, [_plain(bar.label, _MAX_LABEL_CHARS) for bar in bars_])
        room = _CHAR_INCHES * max((len(bar.text) for bar in bars_), default=0) / (width - left)
        axes.set_xlim(0, high / max(0.3, 0.98 - room))
        axes.xaxis.set_visible(False)
        axes.tick_params(axis="y", length=0)
        for side in ("bottom", "left"):
            axes.spines[side].set_visible(False)
        return _svg(figure, alt)


def flag(data: Histogram) -> str:
    """Draws the chart of a yes-or-no signal as SVG. There are three groups of documents: kept, dropped by a limit on
    the signal, and dropped for another reason. Each group has one bar for yes and one for no. Empty bars of dropped
    documents are left out.
    """
    weight = data.dropped_weight
    layers = (("kept", data.kept, 1.0), ("fell", data.fell, weight), ("other", data.other, weight))
    drawn = []
    for answer in (0, 1):
        for name, values, each in layers:
            number = float((values == answer).sum()) * each
            if number or name == "kept":
                label = f"{'yes' if answer else 'no'}, {'kept' if name == 'kept' else 'dropped'}"
                drawn.append(Bar(label, number, f"{number:,.0f}", colour=name))
    return bars(drawn, alt=f"Documents by {data.title}: {describe(data)}", width=_WIDTH)


def _plain(text: str, max_chars: int) -> str:
    """Returns a name without unprintable characters, shortened to fit a drawing."""
    plain = "".join(c for c in text if c.isprintable())
    return plain if len(plain) <= max_chars else plain[: max_chars - 1] + "…"


def short(value: float, _: object = None) -> str:
    """Returns a number as a short text.

    >>> short(1234567), short(0.25), short(950.0)
    ('1.2M', '0.25', '950')
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            number = value / (1e3 if letter == "k" else size)
            return f"{number:.1f}".removesuffix(".0") + letter
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def short_bytes(num_bytes: int) -> str:
    """Returns a number of bytes as a short text.

    >>> short_bytes(827_912), short_bytes(12)
    ('827.9 kB', '12 B')
    """
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes} B"


def percent(value: float) -> str:
    """Returns a percentage as text, without the sign. It is rounded to one decimal. A percentage below 0.1 is rounded
    to two significant digits instead, and one below 0.001 becomes ``< 0.001``. So only zero becomes ``0``.

    >>> percent(13.0081), percent(100.0), percent(0.0), percent(0.0412), percent(3.3e-6)
    ('13', '100', '0', '0.041', '< 0.001')
    """
    if 0 < value < 0.001:
        return "< 0.001"
    return f"{value:.2g}" if 0 < abs(value) < 0.1 else f"{value:.1f}".removesuffix(".0")


def _figure(width: float, height: float, *, left: float, bottom: float) -> tuple[Figure, Any]:
    """Returns a figure of this size, and its axes. All sizes are in inches. The margins are given, because matplotlib
    would draw everything twice if it had to compute them.
    """
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    right, top = 0.2 / width, 0.1 / height  # half of a number extends beyond the axis
    area = (left / width, bottom / height, 1 - left / width - right, 1 - bottom / height - top)
    return figure, figure.add_axes(area)


_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(xlink:href="#|url\(#)([^")]+)')
_FONT = re.compile(r"font(?:-family)?: ?(?:([\d.]+px) )?[^;\"]*(?=[;\"])")


def _svg(figure: Figure, alt: str) -> str:
    """Returns the figure as SVG, with unique ids, the page's colours and font, and a description for screen readers."""
    sink = io.StringIO()
    metadata: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # The SVG keeps text as text, drawn in the reader's fonts, so glyphs that matplotlib's fonts lack do not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(sink, format="svg", transparent=True, metadata=metadata)
    svg = sink.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    own = f"c{next(_numbers)}-"
    svg = _ID.sub(lambda m: f'id="{own}{m[1]}"', svg)
    svg = _REFERENCE.sub(lambda m: m[1] + own + m[2], svg)
    svg = _FONT.sub(lambda m: f"font-size: {m[1] or '10px'}", svg)
    for name, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    view = re.search(r'viewBox="[^"]+"', svg)
    assert view is not None
    # Labels come from the input (names of sources and languages). matplotlib escapes them; this text is escaped here.
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg class="chart" role="img" aria-label="{escape(alt)}" {view[0]} {spaces}>'
    return re.sub(r"\n\s*", "\n", head + svg[svg.index(">") + 1 :])
