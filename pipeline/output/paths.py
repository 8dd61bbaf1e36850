"""The paths inside an output folder."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.files.files import join


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a run. ``work`` holds what only the pipeline reads; deleting it costs a rerun, no output."""

    output: str
    clean_from: str | None = None
    """The output of another run, whose clean documents are mixed into this one; they are only read."""
    tokens_from: frozenset[str] = frozenset()
    """Sources whose token files are those of `clean_from` too, because its tokenizer is the same."""

    @property
    def clean_output(self) -> str:
        """The output that holds the clean documents."""
        return self.clean_from or self.output

    def clean(self, source: str) -> str:
        return join(self.clean_output, "clean", source)

    def dropped(self, source: str) -> str:
        return join(self.clean_output, "dropped", source)

    @property
    def evidence(self) -> str:
        """The folder of what near dedups removed, and for what."""
        return join(self.clean_output, "dedup")

    def evidence_of(self, source: str) -> str:
        """What matches the files of evidence of a source or of its dumps."""
        return join(self.evidence, f"*-{source}[-@]*.parquet")

    def stats(self, source: str) -> str:
        return join(self.output, "stats", f"{source}.json")

    @property
    def manifest(self) -> str:
        return join(self.output, "manifest.json")

    @property
    def tokenizer(self) -> str:
        return join(self.output, "tokenizer.model")

    @property
    def tokenizer_json(self) -> str:
        return join(self.output, "tokenizer.json")

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
        kind, _, source = step.partition("-")
        is_taken = kind == "clean" or (kind == "tokens" and source.partition("@")[0] in self.tokens_from)
        root = self.clean_output if is_taken else self.output
        return join(root, ".work", "steps", f"{step}.json")

    def markers_of_dumps(self, step: str) -> str:
        """What matches the markers of a step's dumps, ``clean-common_crawl@CC-MAIN-2019-09`` for example."""
        return self.marker(f"{step}@*")

    def tokens(self, source: str) -> str:
        root = self.clean_output if source in self.tokens_from else self.output
        return join(root, ".work", "tokens", source)

    def keys(self, source: str, dump: str) -> str:
        """Where a dump keeps the keys that its documents won."""
        return join(self.work, "keys", source, dump)
