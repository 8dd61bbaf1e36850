"""Defines the paths inside an output folder."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.files.files import join


@dataclass(frozen=True, slots=True)
class Layout:
    """Computes the paths of a run's files.

    Only the pipeline reads the folder ``work``. If it is deleted, the next run takes longer, but no output is lost.
    """

    output: str
    clean_from: str | None = None
    """The output folder of an earlier run. This run mixes the clean documents in that folder, and does not change the
    folder. None if this run cleans documents itself.
    """
    tokens_from: frozenset[str] = frozenset()
    """The sources whose token files are read from ``clean_from``. This is possible if the earlier run used the same
    tokenizer as this run.
    """

    @property
    def clean_output(self) -> str:
        """The output folder that has the clean documents."""
        return self.clean_from or self.output

    def clean(self, source: str) -> str:
        return join(self.clean_output, "clean", source)

    def dropped(self, source: str) -> str:
        return join(self.clean_output, "dropped", source)

    @property
    def dedup(self) -> str:
        """The folder for the document pairs that near dedups found. A pair is a removed document and the document that
        was kept instead.
        """
        return join(self.clean_output, "dedup")

    def pair_files(self, label: str) -> list[str]:
        """Returns globs that match the files with the document pairs of one job. ``label`` is ``SOURCE`` or
        ``SOURCE@DUMP``.
        """
        return [join(self.dedup, f"{kind}-{label}-*.parquet") for kind in ("pairs", "rejected")]

    def index(self, source: str) -> str:
        """Returns the folder for the index of a source (the keys of its clean documents).

        When a later source is cleaned, the index shows which documents of the later source are already in
        ``source``.
        """
        return join(self.clean_output, "dedup", "index", source)

    def hits(self, source: str) -> str:
        """Returns the folder for a source's hits: passages that are also in an evaluation set.

        At the end of the clean phase, the hits of all sources are copied into one table in ``decontamination/``.
        """
        return join(self.clean_output, ".work", "hits", source)

    @property
    def decontamination(self) -> str:
        """The folder with the results for evaluation sets: ``hits-*.parquet``, ``items.parquet``, ``summary.json``."""
        return join(self.clean_output, "decontamination")

    def stats(self, source: str) -> str:
        return join(self.output, "stats", f"{source}.json")

    @property
    def manifest(self) -> str:
        return join(self.output, "manifest.json")

    def tokenizer(self, file_name: str) -> str:
        """Returns the path of the tokenizer's file. Each kind of tokenizer has its own file name."""
        return join(self.output, file_name)

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
        """Returns the path of a step's marker. The marker is a file that is written when the step is complete.

        ``step`` is for example ``clean-books``.
        """
        kind, _, source = step.partition("-")
        is_taken = kind == "clean" or (kind == "tokens" and source.partition("@")[0] in self.tokens_from)
        root = self.clean_output if is_taken else self.output
        return join(root, ".work", "steps", f"{step}.json")

    def markers_of_dumps(self, step: str) -> str:
        """Returns a glob that matches the markers of a step for all dumps of a source. The glob matches for example the
        marker of ``clean-common_crawl@CC-MAIN-2019-09``.
        """
        return self.marker(f"{step}@*")

    def tokens(self, source: str) -> str:
        root = self.clean_output if source in self.tokens_from else self.output
        return join(root, ".work", "tokens", source)

    def keys(self, source: str, dump: str) -> str:
        """Returns the folder for the keys of a dump. Exact dedups made these keys from the documents that the dump
        keeps.
        """
        return join(self.work, "keys", source, dump)
