"""Chooses the tokenizer of a run. There are three choices: a tokenizer that the user gives; the tokenizer with which
the output's shards (files of token ids) were made; and a new one.

If the output has such shards, their tokenizer is kept, even if all settings change. The reason: a model that was
trained on these shards would misread the ids of a new tokenizer. With ``--retrain-tokenizer``, a new tokenizer is
trained nevertheless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice, zip_longest
from typing import Any

import pyarrow as pa

from pipeline.files.files import delete_tree, exists, read_bytes, write_bytes
from pipeline.output.fingerprint import canonical, fingerprint
from pipeline.output.markers import read_marker, write_marker
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings
from pipeline.tokenize.draw_sample import draw_sample, kept_bytes, repeated
from pipeline.tokenize.job import SampleJob
from pipeline.tokenize.phase import clean_fingerprint, clean_parts
from pipeline.tokenize.pick_sample import documents
from tokenizer.codec import FILE_NAMES, JSON, MODEL, RANKS
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import DEFAULT_PATTERN, EncoderSettings
from tokenizer.hugging_face import tokenizer_json
from tokenizer.progress import Progress
from tokenizer.proof import proven
from tokenizer.train.training import TrainSettings, train

_PROOF_DOCS = 32
"""The number of documents per source on which the encoder is compared with the reference library."""


def get_tokenizer(
    settings: Settings,
    layout: Layout,
    sources: list[str],
    run_sample: Callable[[SampleJob], None],
    *,
    say: Callable[[str], None] = lambda line: None,
) -> Encoder:
    """Returns the tokenizer and writes it to the output. Reports which tokenizer it is and why.

    Before it returns, it encodes some documents of the run twice: with this project's encoder, and with the tokenizer's
    reference library. The ids must be equal.

    Raises:
        ValueError: the given file is not a tokenizer; the ids of the two encoders differ; or there is too little text
            to train a tokenizer.
    """
    encoder = _chosen(settings, layout, sources, run_sample, say)
    encoder, line = proven(encoder, list(_some_texts(layout, sources)))
    if encoder.file_name != MODEL:
        say(f"tokenizer: {line}")
    return encoder


def _some_texts(layout: Layout, sources: list[str]) -> Iterator[str]:
    """Yields the text of one document of each source, then of a second document of each source, and so on. The
    documents are from the first clean file of each source.
    """
    parts = [clean_parts(layout, source) for source in sources]
    streams = [documents(paths[0], frozenset()) for paths in parts if paths]
    for batches in zip_longest(*(_texts(stream) for stream in streams)):
        yield from (text for text in batches if text is not None)


def _texts(batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    texts = (text for batch in batches for text in batch.column("text").to_pylist())
    return islice(texts, _PROOF_DOCS)


def _chosen(
    settings: Settings, layout: Layout, sources: list[str], run_sample: Callable[[SampleJob], None],
    say: Callable[[str], None],
) -> Encoder:  # fmt: skip
    """Returns the tokenizer and writes it to the output."""
    made_of = _made_of(settings, layout, sources)
    identity = fingerprint(made_of)
    present = _present(layout)
    if settings.continue_from:
        return _continued(settings, layout, say)
    if settings.tokenizer:
        encoder = load_tokenizer(settings.tokenizer, settings.encoder)
        say(f"tokenizer: {settings.tokenizer}, as named{_about(encoder)}{_replacing(layout, present, encoder.sha256)}")
        _put_tokenizer(layout, encoder)
        _write_marker(layout, {"fingerprint": "named", "sha256": encoder.sha256}, encoder)
        return encoder
    if present is None and layout.clean_from and not settings.retrain_tokenizer:
        present = _present(Layout(layout.clean_from))
        if present is not None:
            say(f"tokenizer: the one of {layout.clean_from}, from where the documents are taken")
            encoder = Encoder(present, _settings(settings, Layout(layout.clean_from)))
            _put_tokenizer(layout, encoder)
            _write_marker(layout, _taken(layout.clean_from, encoder), encoder)
            return encoder
    marker = read_marker(layout.marker("tokenizer")) or {}
    if present is not None and marker.get("fingerprint") == identity:
        say("tokenizer: the one that was trained on this mixture before")
        return _kept(settings, layout, present, marker)
    if present is not None and not settings.retrain_tokenizer and _has_shards(layout, _sha256(present)):
        changes = _changes(marker.get("made_of"), made_of)
        say(
            f"tokenizer: kept, because shards in {layout.output} were made with it{changes}; "
            "--retrain-tokenizer trains another"
        )
        return _kept(settings, layout, present, marker)
    train_settings = TrainSettings.of(settings.recipe.tokenizer)
    sample = draw_sample(settings, layout, sources, train_settings.max_sample_bytes, run_sample)
    say(repeated(sample.source_bytes, kept_bytes(layout, sources)))
    trained = train(sample, None, train_settings, progress=Progress("tokenizer", say=say))
    say(f"tokenizer: trained on this mixture{_replacing(layout, present, trained.sha256)}")
    encoder = Encoder(trained.model, settings.encoder)
    _put_tokenizer(layout, encoder)
    _write_marker(layout, {"fingerprint": identity, "made_of": made_of, **trained.about()}, encoder)
    return encoder


def _kept(settings: Settings, layout: Layout, model: bytes, marker: Mapping[str, Any]) -> Encoder:
    """Keeps the tokenizer that is in the output, and returns it. The encoding settings of this run may be new, so they
    are recorded.
    """
    encoder = Encoder(model, _settings(settings, layout))
    if marker.get("sha256") == encoder.sha256:
        _write_marker(layout, marker, encoder)
    return encoder


def _settings(settings: Settings, layout: Layout) -> EncoderSettings:
    """Returns the encoding settings from the run's configuration. If it has none, returns those that an earlier run has
    recorded in the output folder.
    """
    if settings.encoder.said():
        return settings.encoder
    marker = read_marker(layout.marker("tokenizer")) or {}
    line = (read_marker(layout.manifest) or {}).get("tokenizer") or {}
    return replace(EncoderSettings.of(marker.get("encoder") or line.get("settings")), fast=settings.encoder.fast)


def _about(encoder: Encoder) -> str:
    """Returns a part of a message: the pattern and the eos id of a tiktoken rank file. For other tokenizers the text is
    empty, because these settings exist only for rank files.
    """
    if encoder.file_name != RANKS:
        return ""
    pattern = encoder.settings.pattern or f"{DEFAULT_PATTERN}, because tokenizer.pattern names none"
    return f" (pattern {pattern}; eos is {encoder.eos_id})"


def _continued(settings: Settings, layout: Layout, say: Callable[[str], None]) -> Encoder:
    """Returns the tokenizer of the earlier mixture that this run continues. Writes it to the output.

    Raises ValueError if the user gives a different tokenizer than the earlier mixture has.
    """
    folder = settings.continue_from
    assert folder is not None
    model = _present(Layout(folder))
    if model is None:
        raise ValueError(f"--continue-from {folder}: there is no tokenizer, or it is not the one that made its shards")
    if settings.tokenizer and load_tokenizer(settings.tokenizer, settings.encoder).sha256 != _sha256(model):
        raise ValueError(
            f"--tokenizer {settings.tokenizer} is not the tokenizer of {folder}, which this mixture continues: its ids "
            "would have other meanings; leave it out"
        )
    theirs = EncoderSettings.of((read_marker(Layout(folder).manifest) or {}).get("tokenizer", {}).get("settings"))
    encoder = Encoder(model, replace(theirs, fast=settings.encoder.fast))
    if settings.encoder.said() and Encoder(model, settings.encoder).identity != encoder.identity:
        raise ValueError(
            f"tokenizer: {folder}, which this mixture continues, has bos {encoder.bos_id} and eos {encoder.eos_id} "
            "around documents, or another pattern: leave bos, eos, pattern and special_tokens out"
        )
    say(f"tokenizer: the one of {folder}, which this mixture continues")
    _put_tokenizer(layout, encoder)
    _write_marker(layout, _taken(folder, encoder), encoder)
    return encoder


def _taken(folder: str, encoder: Encoder) -> dict[str, Any]:
    """Returns the record of a tokenizer that is taken from another output. The sample of its training is kept, because
    the report judges a tokenizer by it.
    """
    theirs, manifest = Layout(folder), read_marker(Layout(folder).manifest) or {}
    known = read_marker(theirs.marker("tokenizer")) or {}
    sample = known.get("sample") if known.get("sha256") == encoder.sha256 else None
    sample = sample or manifest.get("tokenizer", {}).get("trained")
    return {"fingerprint": "taken", "sha256": encoder.sha256, **({"sample": sample} if sample else {})}


def note_shards(layout: Layout, encoder: Encoder) -> None:
    """Records in a marker (a small file) that shards were made with this tokenizer.

    The manifest (the description of the output) records this too, but a later run deletes the manifest before it
    writes. If that run is killed, the marker still says that this tokenizer must be kept.
    """
    marker = read_marker(layout.marker("tokenizer")) or {"fingerprint": "", "sha256": encoder.sha256}
    _write_marker(layout, {**marker, "shards": encoder.sha256}, encoder)


def load_tokenizer(path: str, settings: EncoderSettings) -> Encoder:
    """Loads a tokenizer that the user gives. If the file is not a tokenizer, raises ValueError with its path."""
    try:
        return Encoder.load(read_bytes(path), settings=settings)
    except ValueError as error:
        raise ValueError(f"--tokenizer {path}: {error}") from error


def _made_of(settings: Settings, layout: Layout, sources: list[str]) -> dict[str, Any]:
    """Returns all inputs that affect the training of a tokenizer."""
    train_settings = TrainSettings.of(settings.recipe.tokenizer)
    found: dict[str, Any] = {
        "settings": canonical(replace(train_settings, num_threads=1)),  # threads change the time, not the model
        "weights": settings.recipe.weights_as_text(),
        "clean": {s: clean_fingerprint(layout, s) for s in sources},
    }
    if settings.exclude:
        found["exclude"] = hashlib.sha256(read_bytes(settings.exclude)).hexdigest()
    return found


def _present(layout: Layout) -> bytes | None:
    """Returns the tokenizer in the output. Returns None if it is missing, or if neither the tokenizer's marker (the
    file that records it) nor the manifest has its checksum.
    """
    marker = read_marker(layout.marker("tokenizer")) or {}
    for name in FILE_NAMES:
        if exists(layout.tokenizer(name)):
            data = read_bytes(layout.tokenizer(name))
            if _sha256(data) in (marker.get("sha256"), _sha256_of_manifest(layout)):
                return data
    return None


def _has_shards(layout: Layout, sha256: str) -> bool:
    marker = read_marker(layout.marker("tokenizer")) or {}
    return sha256 in (marker.get("shards"), _sha256_of_manifest(layout))


def _sha256_of_manifest(layout: Layout) -> str | None:
    tokenizer = (read_marker(layout.manifest) or {}).get("tokenizer")
    return str(tokenizer.get("sha256")) if isinstance(tokenizer, dict) else None


def _replacing(layout: Layout, present: bytes | None, sha256: str) -> str:
    """Returns a part of a message: a warning if a new tokenizer replaces the tokenizer of the shards in the output.
    Otherwise the text is empty.
    """
    if present is None or _sha256(present) == sha256 or not _has_shards(layout, _sha256(present)):
        return ""
    return f"; it replaces another tokenizer, with which the shards in {layout.output} were made: their ids differ"


def _changes(before: Any, now: Mapping[str, Any]) -> str:
    """Returns a part of a message: the inputs that changed since the tokenizer was trained. The text is empty if
    nothing changed.
    """
    if not isinstance(before, dict):
        return ""
    names = {"settings": "its settings", "weights": "the weights", "exclude": "the list of exclusions"}
    changed = [name for key, name in names.items() if before.get(key) != now.get(key)]
    clean = before.get("clean") or {}
    changed += [f"the documents of {s}" for s, value in now["clean"].items() if clean.get(s) != value]
    return f", although {', '.join(changed)} changed" if changed else ""


def _put_tokenizer(layout: Layout, encoder: Encoder) -> None:
    """Writes the tokenizer to the output. If it is a ``.model`` that can be converted exactly, also writes a
    ``tokenizer.json``.

    If the output has a different tokenizer, the manifest of the output is deleted first.
    """
    files: dict[str, bytes] = {encoder.file_name: encoder.model}
    if encoder.file_name == MODEL and (text := tokenizer_json(encoder.model)) is not None:
        files[JSON] = text.encode()
    path = layout.tokenizer(encoder.file_name)
    if not exists(path) or read_bytes(path) != encoder.model:
        delete_tree(layout.manifest)
    for name in FILE_NAMES:
        if name not in files:
            delete_tree(layout.tokenizer(name))
        elif not exists(layout.tokenizer(name)) or read_bytes(layout.tokenizer(name)) != files[name]:
            write_bytes(layout.tokenizer(name), files[name])


def _write_marker(layout: Layout, marker: Mapping[str, Any], encoder: Encoder) -> None:
    said = encoder.settings.said()
    marker = {key: value for key, value in marker.items() if key != "encoder"} | ({"encoder": said} if said else {})
    before = read_marker(layout.marker("tokenizer")) or {}
    kept = {"shards": before["shards"]} if "shards" in before and before["shards"] == marker["sha256"] else {}
    write_marker(layout.marker("tokenizer"), {**marker, **kept})  # in this order, a second run writes the same bytes


def _sha256(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()
