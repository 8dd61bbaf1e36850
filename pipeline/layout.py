"""Where everything lies below the output folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apache_beam.io.filesystems import FileSystems

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
    """What a finished step left; None where there is nothing, or nothing that can be read."""
    if not exists(path):
        return None
    try:
        marker = json.loads(read_bytes(path))
    except ValueError:
        return None
    return marker if isinstance(marker, dict) else None


def is_done(path: str, fingerprint: str, folders: Mapping[str, str] | None = None) -> bool:
    """Whether a step is whole and was made of the same inputs, settings and data version.

    Args:
        folders: where its parts lie, by the name under which the marker holds their state.
    """
    marker = read_marker(path)
    return marker is not None and marker.get("fingerprint") == fingerprint and are_whole(marker, folders or {})


def are_whole(marker: Mapping[str, Any], folders: Mapping[str, str]) -> bool:
    """Whether the parts that a step wrote are those that there are: none gone, none cut, none added."""
    return all(marker.get("parts", {}).get(name) == state_of(folder) for name, folder in folders.items())


def state_of(folder: str) -> str:
    """A checksum of the names and sizes of a folder's parts: a listing, nothing is read."""
    (found,) = FileSystems.match([join(folder, "part-*")])
    parts = [(m.path.rsplit("/", 1)[-1], m.size_in_bytes) for m in found.metadata_list]
    whole = sorted(p for p in parts if not p[0].endswith(".tmp"))
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()
