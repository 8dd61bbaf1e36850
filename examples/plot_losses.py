"""Draws the losses of ``examples/train.py`` as one SVG file: ``python examples/plot_losses.py checkpoints``.

The thin line shows the loss of each step. The thick line shows the mean over neighbouring steps. The text below the
lines lists each source's loss over the last tenth of the steps, and its loss on held-out documents. The script needs
only Python.
"""

from __future__ import annotations

import html
import json
import sys
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 380, 56, 40, 96
SMOOTHED_STEPS = 10


def main(argv: list[str]) -> int:
    """Runs the command. Returns 0 if the file was written, 2 if an argument is wrong or the losses cannot be read."""
    if len(argv) != 1:
        print("plot_losses: name the folder that train.py wrote its losses into", file=sys.stderr)
        return 2
    folder = Path(argv[0])
    try:
        lines = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    except OSError as error:
        print(f"plot_losses: cannot read {folder / 'losses.jsonl'}: {error.strerror}", file=sys.stderr)
        return 2
    if len(lines) < 2:
        print("plot_losses: fewer than two steps have been trained", file=sys.stderr)
        return 2
    held_out = folder / "validation.json"
    drawn = svg(lines, json.loads(held_out.read_text()) if held_out.exists() else {})
    (folder / "losses.svg").write_text(drawn, encoding="utf-8")
    print(folder / "losses.svg")
    return 0


def svg(lines: list[dict[str, Any]], held_out: dict[str, float]) -> str:
    """Returns the SVG file as text.

    Args:
        lines: the lines of ``losses.jsonl``.
        held_out: the loss of each source on held-out documents. Empty if no documents are held out.
    """
    losses = [line["loss"] for line in lines]
    low, high = int(min(losses)), int(max(losses)) + 1
    right, bottom = WIDTH - 16, HEIGHT - BOTTOM

    def x(step: int) -> float:
        return round(LEFT + (right - LEFT) * step / (len(losses) - 1), 1)

    def y(loss: float) -> float:
        return round(bottom - (bottom - TOP) * (loss - low) / (high - low), 1)

    def path(values: list[float], width: float, colour: str) -> str:
        points = " ".join(f"{x(i)},{y(v)}" for i, v in enumerate(values))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    marks = [
        f'<line x1="{LEFT}" x2="{right}" y1="{y(n)}" y2="{y(n)}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y(n) + 4}" text-anchor="end">{n}</text>'
        for n in range(low, high + 1)
    ]
    marks += [
        f'<text x="{x(step)}" y="{bottom + 18}" text-anchor="middle">{step}</text>'
        for step in sorted({round(i * (len(losses) - 1) / 5) for i in range(6)})
    ]
    said = [f"last tenth: {_listed(_by_source(lines[-max(1, len(lines) // 10) :]))}"]
    said += [f"held out: {_listed(held_out)}"] if held_out else []
    marks += [f'<text x="16" y="{bottom + 44 + 18 * i}">{html.escape(text)}</text>' for i, text in enumerate(said)]
    head = f"loss by step, nats a token: {losses[0]:.2f} to {smoothed(losses)[-1]:.2f}"
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        f'<text x="16" y="22" font-size="15">{head}</text>'
        f"{''.join(marks)}{path(losses, 0.7, '#9bb8d9')}{path(smoothed(losses), 2.2, '#1f5fa8')}</svg>\n"
    )


def smoothed(losses: list[float]) -> list[float]:
    """Returns one mean loss per step: the mean over the step itself and its neighbours, up to five on each side.

    >>> smoothed([1.0, 3.0])
    [2.0, 2.0]
    """
    half = SMOOTHED_STEPS // 2
    windows = (losses[max(0, i - half) : i + half + 1] for i in range(len(losses)))
    return [sum(window) / len(window) for window in windows]


def _by_source(lines: list[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for line in lines:
        for source, loss in line["sources"].items():
            found.setdefault(source, []).append(loss)
    return {source: sum(losses) / len(losses) for source, losses in sorted(found.items())}


def _listed(losses: dict[str, float]) -> str:
    return ", ".join(f"{source} {loss:.2f}" for source, loss in losses.items())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
