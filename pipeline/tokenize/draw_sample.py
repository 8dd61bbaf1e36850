"""Draws the weighted sample of clean documents on which a tokenizer is trained.

If there is little text, the driver (the process that starts the jobs) reads all of it. If there is much text, workers
pick the documents with the smallest hashes from every clean file. The workers pick somewhat more than needed, and the
driver draws the sample from the picked documents.

Both ways give exactly the same sample. A document's hash decides whether it is chosen, so the order of reading
does not matter. The share of each source depends on the size of its text, which the clean phase has already counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from mixtures.parts import PartRule
from mixtures.tokenizer_sample import plan_sample, weighted_sample
from pipeline.clean.batch_address import PART_NAME
from pipeline.files.files import delete_tree, join, read_bytes, write_bytes
from pipeline.models.load import load
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings
from pipeline.tokenize.check_kept import check_kept
from pipeline.tokenize.job import SampleJob
from pipeline.tokenize.parts import Parts
from pipeline.tokenize.phase import clean_parts
from pipeline.tokenize.pick_sample import documents, exclusions_file, picked, sample_file, text_bytes_of
from tokenizer.train.sample import Sample

_READ_ALL_SHARE = 4
"""If the text is at most this many times as large as the sample, the driver reads all of it. With LLaMA's settings the
limit is 0.8 GB."""
_MARGIN = Fraction(3, 2)
"""Workers pick this many times as much text as needed, because documents differ in size. If too little text of a source
was picked, they pick again, and take four times as much of this source."""
_MIN_SHARE = Fraction(1, 100_000)
_HASHES = 1 << 64

Documents = Mapping[str, Callable[[], Iterator[tuple[str, str]]]]


def kept_bytes(layout: Layout, sources: list[str]) -> dict[str, int]:
    """Returns the size of the clean text of each source, in bytes."""
    clean = Layout(layout.clean_output)
    return {s: int(json.loads(read_bytes(clean.stats(s)))["bytes"]["kept"]) for s in sources}


def repeated(sampled: Mapping[str, int], available: Mapping[str, int]) -> str:
    """Returns a line about the sources whose text is repeated in a sample. Returns "" if no text is repeated.

    Args:
        sampled: the size of each source's text in the sample, in bytes.
        available: the size of each source's clean text, in bytes.

    >>> repeated({"wiki": 9_000_000, "web": 1_000_000}, {"wiki": 2_000_000, "web": 8_000_000})
    'tokenizer: its sample repeats the text of wiki (2.0 MB, 4.5 times), within max_epochs, as the mixture does'
    >>> repeated({"web": 1_000_000}, {"web": 8_000_000})
    ''
    """
    times = {s: sampled[s] / available[s] for s in sampled if 0 < available.get(s, 0) < sampled[s]}
    said = ", ".join(f"{s} ({available[s] / 1e6:,.1f} MB, {n:.1f} times)" for s, n in times.items())
    return f"tokenizer: its sample repeats the text of {said}, within max_epochs, as the mixture does" if said else ""


def draw_sample(
    settings: Settings, layout: Layout, sources: list[str], max_bytes: int, run_sample: Callable[[SampleJob], None]
) -> Sample:
    """Returns the sample on which the tokenizer is trained, of at most ``max_bytes`` bytes.

    The recipe's weights decide how much text each source gives. Documents that the user excludes are not in the sample.

    Raises:
        ValueError: a source has no text.
    """
    check_kept(settings.recipe, layout, sources)
    available = kept_bytes(layout, sources)
    parts = {s: tuple(clean_parts(layout, s)) for s in sources}
    left_out = {s: rule for s, rule in settings.recipe.parts.items() if not rule.has_other}
    if sum(available.values()) <= _READ_ALL_SHARE * max_bytes:
        excluded: frozenset[str] = load("exclude", settings.exclude) if settings.exclude else frozenset()
        whole: Documents = {s: _CleanDocuments(parts[s], excluded, left_out.get(s)) for s in sources}
        # with exclusions, the text that is left is known only after reading
        known = None if excluded or left_out else available
        return weighted_sample(whole, settings.recipe, max_bytes=max_bytes, available=known)
    folder = join(layout.work, "tokenizer-sample")  # not `sample`, because the bundled input is there
    shares = _shares(settings, available, max_bytes)
    while True:
        delete_tree(folder)
        if settings.exclude:
            write_bytes(exclusions_file(folder), read_bytes(settings.exclude))
        job = SampleJob(
            parts=tuple(Parts(s, layout.clean(s), len(parts[s]), PART_NAME) for s in shares),
            below={s: int(share * _HASHES) for s, share in shares.items()},
            folder=folder,
            rules=left_out,
        )
        run_sample(job)
        files = {s: tuple(sample_file(folder, s, path) for path in parts[s]) for s in shares}
        left = {s: sum(map(text_bytes_of, files[s])) for s in files}
        some: Documents = {s: _PickedDocuments(files[s]) for s in files}
        try:
            sample = weighted_sample(some, settings.recipe, max_bytes=max_bytes, available=left)
        except LookupError as error:  # the documents of a source are so unequal in size that too few were picked
            source = str(error.args[0])
            shares[source] = min(Fraction(1), 4 * shares[source])
            continue
        delete_tree(folder)
        return sample


def _shares(settings: Settings, available: Mapping[str, int], max_bytes: int) -> dict[str, Fraction]:
    """Returns a mapping from each source to the share of its documents that workers pick."""
    made = plan_sample(settings.recipe, available, max_bytes)
    wanted = {s.source: Fraction(s.tokens, available[s.source]) for s in made.sources}
    return {s: min(Fraction(1), _MARGIN * share + _MIN_SHARE) for s, share in wanted.items()}


@dataclass(frozen=True, slots=True)
class _CleanDocuments:
    """Yields (id, text) of the documents in a source's clean files, each time the object is called."""

    paths: tuple[str, ...]
    excluded: frozenset[str]
    rule: PartRule | None = None

    def __call__(self) -> Iterator[tuple[str, str]]:
        for path in self.paths:
            for batch in documents(path, self.excluded, self.rule):
                yield from zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)


@dataclass(frozen=True, slots=True)
class _PickedDocuments:
    """Yields (id, text) of the documents that workers picked, each time the object is called."""

    paths: tuple[str, ...]

    def __call__(self) -> Iterator[tuple[str, str]]:
        for path in self.paths:
            yield from picked(path)
