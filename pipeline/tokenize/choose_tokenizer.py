"""Chooses the tokenizer of a run: one that the user gives, the one of the shards in the output, or a new one.

A tokenizer with which shards were made is kept, whatever else changes. With another tokenizer of the same size, the ids
would have other meanings for a model trained on these shards. ``--retrain-tokenizer`` trains another one nevertheless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.files.files import delete_tree, exists, read_bytes, write_bytes
from pipeline.output.fingerprint import canonical, fingerprint
from pipeline.output.markers import read_marker, write_marker
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings
from pipeline.tokenize.draw_sample import draw_sample
from pipeline.tokenize.job import SampleJob
from pipeline.tokenize.phase import clean_fingerprint
from tokenizer.encode import Encoder
from tokenizer.hugging_face import tokenizer_json
from tokenizer.train.training import TrainSettings, train


def get_tokenizer(
    settings: Settings,
    layout: Layout,
    sources: list[str],
    run_sample: Callable[[SampleJob], None],
    *,
    say: Callable[[str], None] = lambda line: None,
) -> Encoder:
    """Returns the tokenizer and writes it to the output. Reports which tokenizer it is and why.

    Raises:
        ValueError: the given tokenizer is not a SentencePiece model, or there is too little text to train one.
    """
    made_of = _made_of(settings, layout, sources)
    identity = fingerprint(made_of)
    present = _present(layout)
    if settings.continue_from:
        return _continued(settings, layout, say)
    if settings.tokenizer:
        encoder = load_tokenizer(settings.tokenizer)
        say(f"tokenizer: {settings.tokenizer}, as named{_replacing(layout, present, encoder.sha256)}")
        _put_tokenizer(layout, encoder.model)
        _write_marker(layout, {"fingerprint": "named", "sha256": encoder.sha256})
        return encoder
    if present is None and layout.clean_from and not settings.retrain_tokenizer:
        present = _present(Layout(layout.clean_from))
        if present is not None:
            say(f"tokenizer: the one of {layout.clean_from}, from where the documents are taken")
            _put_tokenizer(layout, present)
            _write_marker(layout, {"fingerprint": "taken", "sha256": _sha256(present)})
            return Encoder.load(present)
    marker = read_marker(layout.marker("tokenizer")) or {}
    if present is not None and marker.get("fingerprint") == identity:
        say("tokenizer: the one that was trained on this mixture before")
        return Encoder.load(present)
    if present is not None and not settings.retrain_tokenizer and _has_shards(layout, _sha256(present)):
        changes = _changes(marker.get("made_of"), made_of)
        say(
            f"tokenizer: kept, because shards in {layout.output} were made with it{changes}; "
            "--retrain-tokenizer trains another"
        )
        return Encoder.load(present)
    train_settings = TrainSettings.of(settings.recipe.tokenizer)
    sample = draw_sample(settings, layout, sources, train_settings.max_sample_bytes, run_sample)
    trained = train(sample, None, train_settings)
    say(f"tokenizer: trained on this mixture{_replacing(layout, present, trained.sha256)}")
    _put_tokenizer(layout, trained.model)
    _write_marker(layout, {"fingerprint": identity, "made_of": made_of, **trained.about()})
    return Encoder.load(trained.model)


def _continued(settings: Settings, layout: Layout, say: Callable[[str], None]) -> Encoder:
    """Writes the tokenizer of the mixture that is continued to the output, and returns it.

    Raises ValueError if the user gives another tokenizer.
    """
    folder = settings.continue_from
    assert folder is not None
    model = _present(Layout(folder))
    if model is None:
        raise ValueError(f"--continue-from {folder}: there is no tokenizer, or it is not the one that made its shards")
    if settings.tokenizer and load_tokenizer(settings.tokenizer).sha256 != _sha256(model):
        raise ValueError(
            f"--tokenizer {settings.tokenizer} is not the tokenizer of {folder}, which this mixture continues: its ids "
            "would have other meanings; leave it out"
        )
    say(f"tokenizer: the one of {folder}, which this mixture continues")
    _put_tokenizer(layout, model)
    _write_marker(layout, {"fingerprint": "taken", "sha256": _sha256(model)})
    return Encoder.load(model)


def note_shards(layout: Layout, encoder: Encoder) -> None:
    """Records that shards were made with this tokenizer, so that it is kept even if a later run is killed."""
    marker = read_marker(layout.marker("tokenizer")) or {"fingerprint": "", "sha256": encoder.sha256}
    _write_marker(layout, {**marker, "shards": encoder.sha256})


def load_tokenizer(path: str) -> Encoder:
    """Loads a tokenizer that the user gives. Raises ValueError with its path if it is not a tokenizer."""
    try:
        return Encoder.load(read_bytes(path))
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
    """Returns the tokenizer in the output; None if the marker or the manifest names another tokenizer."""
    if not exists(layout.tokenizer):
        return None
    model = read_bytes(layout.tokenizer)
    marker = read_marker(layout.marker("tokenizer")) or {}
    return model if _sha256(model) in (marker.get("sha256"), _sha256_of_manifest(layout)) else None


def _has_shards(layout: Layout, sha256: str) -> bool:
    marker = read_marker(layout.marker("tokenizer")) or {}
    return sha256 in (marker.get("shards"), _sha256_of_manifest(layout))


def _sha256_of_manifest(layout: Layout) -> str | None:
    tokenizer = (read_marker(layout.manifest) or {}).get("tokenizer")
    return str(tokenizer.get("sha256")) if isinstance(tokenizer, dict) else None


def _replacing(layout: Layout, present: bytes | None, sha256: str) -> str:
    """Returns a warning if the shards in the output were made with another tokenizer; else an empty text."""
    if present is None or _sha256(present) == sha256 or not _has_shards(layout, _sha256(present)):
        return ""
    return f"; it replaces another tokenizer, with which the shards in {layout.output} were made: their ids differ"


def _changes(before: Any, now: Mapping[str, Any]) -> str:
    """Returns a text that names what has changed since the tokenizer was trained; empty if nothing has."""
    if not isinstance(before, dict):
        return ""
    names = {"settings": "its settings", "weights": "the weights", "exclude": "the list of exclusions"}
    changed = [name for key, name in names.items() if before.get(key) != now.get(key)]
    clean = before.get("clean") or {}
    changed += [f"the documents of {s}" for s, value in now["clean"].items() if clean.get(s) != value]
    return f", although {', '.join(changed)} changed" if changed else ""


def _put_tokenizer(layout: Layout, model: bytes) -> None:
    """Writes the tokenizer to the output in both formats. If it replaces another one, deletes the manifest first."""
    if not exists(layout.tokenizer) or read_bytes(layout.tokenizer) != model:
        delete_tree(layout.manifest)
        write_bytes(layout.tokenizer, model)
    put_tokenizer_json(layout, model)


def put_tokenizer_json(layout: Layout, model: bytes) -> None:
    """Writes ``tokenizer.json`` beside the model. Deletes it if the model cannot be converted exactly."""
    text = tokenizer_json(model)
    if text is None:
        delete_tree(layout.tokenizer_json)
    elif not exists(layout.tokenizer_json) or read_bytes(layout.tokenizer_json) != text.encode():
        write_bytes(layout.tokenizer_json, text.encode())


def _write_marker(layout: Layout, marker: Mapping[str, Any]) -> None:
    before = read_marker(layout.marker("tokenizer")) or {}
    kept = {"shards": before["shards"]} if "shards" in before and before["shards"] == marker["sha256"] else {}
    write_marker(layout.marker("tokenizer"), {**kept, **marker})


def _sha256(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()
