"""The tokenizer of a run: the one that was given, or one trained on a weighted sample of the clean documents.

Where there is little text the driver reads it all. Where there is much, workers pick the documents of the smallest
hashes out of every clean part, a little more than are wanted, and the driver draws the sample from these: the same
sample, to the byte, since a document's hash decides, and how much text there is was counted by the clean phase.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from mixtures.tokenizer_sample import plan_sample, weighted_sample
from pipeline.clean.batch_address import PART_NAME
from pipeline.files.files import delete_tree, exists, join, read_bytes, write_bytes
from pipeline.models.load import load
from pipeline.output.fingerprint import fingerprint
from pipeline.output.markers import is_done, read_marker, write_marker
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings
from pipeline.tokenize.job import SampleJob
from pipeline.tokenize.parts import Parts
from pipeline.tokenize.phase import clean_fingerprint, clean_parts
from pipeline.tokenize.pick_sample import documents, exclusions_file, picked, sample_file, text_bytes_of
from tokenizer.encode import Encoder
from tokenizer.train.sample import Sample
from tokenizer.train.training import TrainSettings, train

_READ_ALL_SHARE = 4
"""The driver reads all text itself where it is at most so many times the sample: 0.8 GB, with LLaMA's settings."""
_MARGIN = Fraction(3, 2)
"""So much more than is wanted is picked, since documents are of unequal size; if it is too little, four times that."""
_MIN_SHARE = Fraction(1, 100_000)
_HASHES = 1 << 64

Documents = Mapping[str, Callable[[], Iterator[tuple[str, str]]]]


def get_tokenizer(
    settings: Settings, layout: Layout, sources: list[str], run_sample: Callable[[SampleJob], None]
) -> Encoder:
    """The tokenizer, which lies in the output, whether it was given or trained.

    Raises:
        ValueError: what was given is no SentencePiece model, or there is too little text to train one.
    """
    if settings.tokenizer:
        encoder = load_tokenizer(settings.tokenizer)
        _put_tokenizer(layout, encoder.model)
        return encoder
    train_settings = TrainSettings.of(settings.recipe.tokenizer)
    identity = fingerprint(
        replace(train_settings, num_threads=1),  # threads change the time, not the model
        settings.recipe.weights,
        {s: clean_fingerprint(layout, s) for s in sources},
        hashlib.sha256(read_bytes(settings.exclude)).hexdigest() if settings.exclude else None,
    )
    marker = layout.marker("tokenizer")
    if is_done(marker, identity) and exists(layout.tokenizer):
        model = read_bytes(layout.tokenizer)
        if hashlib.sha256(model).hexdigest() == (read_marker(marker) or {})["sha256"]:
            return Encoder.load(model)
    trained = train(
        draw_sample(settings, layout, sources, train_settings.max_sample_bytes, run_sample), None, train_settings
    )
    _put_tokenizer(layout, trained.model)
    write_marker(marker, {"fingerprint": identity, **trained.about()})
    return Encoder.load(trained.model)


def _put_tokenizer(layout: Layout, model: bytes) -> None:
    """Lays the tokenizer into the output; a manifest of shards that another one made goes first."""
    if exists(layout.tokenizer) and read_bytes(layout.tokenizer) == model:
        return
    delete_tree(layout.manifest)
    write_bytes(layout.tokenizer, model)


def load_tokenizer(path: str) -> Encoder:
    """A model that a user names. Raises ValueError, with its name, where it is none."""
    try:
        return Encoder.load(read_bytes(path))
    except ValueError as error:
        raise ValueError(f"--tokenizer {path}: {error}") from error


def draw_sample(
    settings: Settings, layout: Layout, sources: list[str], max_bytes: int, run_sample: Callable[[SampleJob], None]
) -> Sample:
    """The weighted sample of the sources' clean documents, of at most ``max_bytes``; excluded ones are not in it."""
    available = {s: int(json.loads(read_bytes(layout.stats(s)))["bytes"]["kept"]) for s in sources}
    parts = {s: tuple(clean_parts(layout, s)) for s in sources}
    if sum(available.values()) <= _READ_ALL_SHARE * max_bytes:
        excluded: frozenset[str] = load("exclude", settings.exclude) if settings.exclude else frozenset()
        whole: Documents = {s: _CleanDocuments(parts[s], excluded) for s in sources}
        known = None if excluded else available  # what is left of it is known when it has been read
        return weighted_sample(whole, settings.recipe, max_bytes=max_bytes, available=known)
    folder = join(layout.work, "tokenizer-sample")  # not `sample`: the input that ships lies there
    shares = _shares(settings, available, max_bytes)
    while True:
        delete_tree(folder)
        if settings.exclude:
            write_bytes(exclusions_file(folder), read_bytes(settings.exclude))
        job = SampleJob(
            parts=tuple(Parts(s, layout.clean(s), len(parts[s]), PART_NAME) for s in shares),
            below={s: int(share * _HASHES) for s, share in shares.items()},
            folder=folder,
        )
        run_sample(job)
        files = {s: tuple(sample_file(folder, s, path) for path in parts[s]) for s in shares}
        left = {s: sum(map(text_bytes_of, files[s])) for s in files}
        some: Documents = {s: _PickedDocuments(files[s]) for s in files}
        try:
            sample = weighted_sample(some, settings.recipe, max_bytes=max_bytes, available=left)
        except LookupError as error:  # a source's documents are so unequal that too few were picked
            source = str(error.args[0])
            shares[source] = min(Fraction(1), 4 * shares[source])
            continue
        delete_tree(folder)
        return sample


def _shares(settings: Settings, available: Mapping[str, int], max_bytes: int) -> dict[str, Fraction]:
    """Which share of each source's documents is picked."""
    made = plan_sample(settings.recipe, available, max_bytes)
    wanted = {s.source: Fraction(s.tokens, available[s.source]) for s in made.sources}
    return {s: min(Fraction(1), _MARGIN * share + _MIN_SHARE) for s, share in wanted.items()}


@dataclass(frozen=True, slots=True)
class _CleanDocuments:
    """The (id, text) of a source's clean files, as often as asked for."""

    paths: tuple[str, ...]
    excluded: frozenset[str]

    def __call__(self) -> Iterator[tuple[str, str]]:
        for path in self.paths:
            for batch in documents(path, self.excluded):
                yield from zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)


@dataclass(frozen=True, slots=True)
class _PickedDocuments:
    """The (id, text) that workers picked."""

    paths: tuple[str, ...]

    def __call__(self) -> Iterator[tuple[str, str]]:
        for path in self.paths:
            yield from picked(path)
