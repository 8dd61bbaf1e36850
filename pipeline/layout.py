"""Where everything lies below the output folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline.files import exists, join, read_bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a run. ``work`` holds what only the pipeline reads; deleting it costs a rerun, no output."""

    output: str

    def clean(self, source: str) -> str:
        return join(self.output, "clean", source)

    def dropped(self, source: str) -> str:
        return join(self.output, "dropped", source)

    def stats(self, source: str) -> str:
        return join(self.output, "stats", f"{source}.json")

    @property
    def manifest(self) -> str:
        return join(self.output, "manifest.json")

    @property
    def tokenizer(self) -> str:
        return join(self.output, "tokenizer.model")

    @property
    def card(self) -> str:
        return join(self.output, "README.md")

    @property
    def report(self) -> str:
        return join(self.output, "report", "index.html")

    @property
    def work(self) -> str:
        return join(self.output, ".work")

    def marker(self, step: str) -> str:
        """The marker that makes a step whole, ``clean-books`` for example."""
        return join(self.work, "steps", f"{step}.json")

    def tokens(self, source: str) -> str:
        return join(self.work, "tokens", source)


def read_marker(path: str) -> dict[str, Any] | None:
    """What a finished step left, or None."""
    return json.loads(read_bytes(path)) if exists(path) else None


def is_done(path: str, fingerprint: str) -> bool:
    """Whether a step is whole and was made of the same inputs, settings and data version."""
    marker = read_marker(path)
    return marker is not None and marker.get("fingerprint") == fingerprint
