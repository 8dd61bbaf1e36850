"""The paths inside an output folder."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.files.files import join


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

    def markers_of_dumps(self, step: str) -> str:
        """What matches the markers of a step's dumps, ``clean-common_crawl@CC-MAIN-2019-09`` for example."""
        return self.marker(f"{step}@*")

    def tokens(self, source: str) -> str:
        return join(self.work, "tokens", source)

    def keys(self, source: str, dump: str) -> str:
        """Where a dump keeps the keys that its documents won."""
        return join(self.work, "keys", source, dump)
