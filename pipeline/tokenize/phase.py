"""Prepares and finishes the tokenize phase.

Before the phase, finds the sources (or dumps of a source) that have no token files made with this tokenizer yet. After
the phase, records which sources are complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.clean.batch_address import PART_NAME
from pipeline.files.files import delete_tree, exists, read_bytes, write_bytes
from pipeline.output.markers import (
    are_whole,
    delete_unfinished,
    is_done,
    numbered_parts,
    read_marker,
    state_of,
    write_marker,
)
from pipeline.output.paths import Layout
from pipeline.preflight.places import no_clean_documents
from pipeline.settings.settings import Settings
from pipeline.tokenize.encode_parts import TOKEN_FILE
from pipeline.tokenize.job import TokenJob
from pipeline.tokenize.parts import Parts
from tokenizer.encode import Encoder

TOKENS_VERSION = 2
"""Data version of the token files. Increase it when the same documents and the same tokenizer would give different
files."""

_SUMMED = ("documents", "tokens", "excluded", "documents_in", "held_documents", "held_tokens")
_SEVERAL = "several"
"""The value that is stored as the held-out share of a source if the shares of its dumps differ. Then the held-out
tokens are counted again."""


def clean_parts(layout: Layout, source: str) -> list[str]:
    """Returns the paths of the clean files of a source.

    Raises:
        ValueError: there are no clean files, or they were changed. The message says how to make them.
    """
    marker = read_marker(layout.marker(f"clean-{source}"))
    if marker is None:
        raise ValueError(no_clean_documents(source, layout))
    if not are_whole(marker, {"clean": layout.clean(source)}):
        raise ValueError(
            f"{source}: its clean documents in {layout.clean(source)} are not those that were written: a part is gone "
            f"or was changed; run it with --phase=clean --input {source}=GLOB again"
        )
    parts = Parts(source, layout.clean(source), marker["num_parts"], PART_NAME)
    return [parts.path(number) for number in parts.numbers]


def clean_fingerprint(layout: Layout, source: str) -> str:
    """Returns the fingerprint (a checksum of all inputs and settings) of a source's clean documents; empty if there are
    none.
    """
    marker = read_marker(layout.marker(f"clean-{source}"))
    return str(marker["fingerprint"]) if marker else ""


def token_jobs(settings: Settings, layout: Layout, encoder: Encoder, sources: list[str],
               progress_dir: str | None) -> list[TokenJob]:  # fmt: skip
    """Returns a job for each source or dump that has no token files for this tokenizer and these documents.

    If a source is not complete, deletes the manifest (the description of the output). Also deletes the old token files
    that the jobs will write again.
    """
    fingerprint_of = _fingerprints(settings, encoder)
    jobs: list[TokenJob] = []
    for source in sources:
        marker, fingerprint = (
            layout.marker(f"tokens-{source}"),
            fingerprint_of(source, clean_fingerprint(layout, source)),
        )
        if is_done(marker, fingerprint, {"tokens": layout.tokens(source)}):
            continue
        delete_tree(layout.manifest)
        delete_tree(marker)
        rule = settings.recipe.validation.get(source)
        parts = Parts(source, layout.clean(source), len(clean_parts(layout, source)), PART_NAME)
        pieces = [
            TokenJob(
                source=source,
                dump=dump["name"],
                parts=Parts(source, parts.folder, parts.num_parts, parts.form, dump["parts"]),
                tokenizer_path=layout.tokenizer(encoder.file_name),
                encoder=encoder.settings,
                tokens_dir=layout.tokens(source),
                validation_share=rule.share if rule else None,
                exclude_path=settings.exclude,
                marker=layout.marker(f"tokens-{source}@{dump['name']}") if dump["name"] else marker,
                fingerprint=fingerprint_of(source, dump["fingerprint"]) if dump["name"] else fingerprint,
                part_column=settings.recipe.parts[source].by if source in settings.recipe.parts else None,
                progress_dir=progress_dir,
            )
            for dump in _dumps(layout, source)
        ]
        jobs += _pending(pieces)
    return jobs


def with_tokens_of(layout: Layout, settings: Settings, encoder: Encoder, sources: Iterable[str]) -> Layout:
    """Returns a layout (the paths of a run's files) that uses token files of an earlier run again.

    ``layout.clean_from`` is the output folder of the earlier run. If this run would write the same token files for a
    source as the earlier run, the returned layout has the paths of the earlier files for this source.
    """
    assert layout.clean_from is not None
    fingerprint_of, other = _fingerprints(settings, encoder), Layout(layout.clean_from)
    fingerprints = {s: fingerprint_of(s, clean_fingerprint(other, s)) for s in sources}
    same = [s for s, f in fingerprints.items() if is_done(other.marker(f"tokens-{s}"), f, {"tokens": other.tokens(s)})]
    return replace(layout, tokens_from=frozenset(same))


def copy_stats(layout: Layout, sources: Iterable[str]) -> None:
    """Copies each source's statistics into this run's output, for the report. ``layout.clean_from`` is the output
    folder of the earlier run that has the statistics.
    """
    assert layout.clean_from is not None
    for source in sources:
        if exists(path := Layout(layout.clean_from).stats(source)):
            write_bytes(layout.stats(source), read_bytes(path))


def _fingerprints(settings: Settings, encoder: Encoder) -> Callable[[str, str], str]:
    """Returns a function that computes the fingerprint of a source's token files. The function takes the source, and
    the fingerprint of the source's clean documents.

    A recipe may divide a source by the values of a column. The token files contain the whole column. So the fingerprint
    depends on the name of the column, but not on the values that the recipe names.
    """
    excluded = hashlib.sha256(read_bytes(settings.exclude)).hexdigest() if settings.exclude else ""

    def fingerprint_of(source: str, clean: str) -> str:
        rule = settings.recipe.parts.get(source)
        said = [TOKENS_VERSION, encoder.identity, clean, excluded, *([rule.by] if rule else [])]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    return fingerprint_of


def _dumps(layout: Layout, source: str) -> list[dict[str, Any]]:
    """Returns the dumps that a source's clean documents come from.

    If the source was cleaned in one piece, returns one dump with an empty name.
    """
    marker = read_marker(layout.marker(f"clean-{source}")) or {}
    dumps = [{**dump, "parts": tuple(dump["parts"])} for dump in marker.get("dumps", [])]
    return dumps or [{"name": "", "fingerprint": "", "parts": None}]


def _pending(pieces: list[TokenJob]) -> list[TokenJob]:
    """Returns the jobs of a source that are not complete. Deletes the token files that these jobs will write again."""
    pending = [job for job in pieces if not (job.dump and is_done(job.marker, job.fingerprint, {"tokens": job.tokens}))]
    kept = {number for job in pieces if job not in pending for number in job.parts.numbers}
    delete_unfinished(pieces[0].tokens_dir)
    for job in pending:
        delete_tree(job.marker)
    if not kept:
        delete_tree(pieces[0].tokens_dir)
    else:
        for path, number, _ in numbered_parts(pieces[0].tokens_dir):
            if number not in kept:
                delete_tree(path)
    return pending


def finish_tokens(layout: Layout, encoder: Encoder, sources: Iterable[str], settings: Settings) -> None:
    """Marks each source as complete. Call it when all dumps of the sources are tokenized. The marker is a small file
    with the sums of the dumps' counts.
    """
    fingerprint_of = _fingerprints(settings, encoder)
    for source in sources:
        marker = layout.marker(f"tokens-{source}")
        if exists(marker):
            continue
        found = [_marker(layout, f"tokens-{source}@{dump['name']}") for dump in _dumps(layout, source)]
        shares = {one["validation_share"] for one in found}
        whole = {
            "fingerprint": fingerprint_of(source, clean_fingerprint(layout, source)),
            **{name: sum(one[name] for one in found) for name in _SUMMED},
            "validation_share": shares.pop() if len(shares) == 1 else _SEVERAL,
            "parts": {"tokens": state_of(layout.tokens(source))},
        }
        write_marker(marker, whole)


def token_parts(layout: Layout, sources: Iterable[str]) -> tuple[Parts, ...]:
    """Returns the token files of the sources."""
    return tuple(Parts(s, layout.tokens(s), len(clean_parts(layout, s)), TOKEN_FILE) for s in sources)


def token_marker(layout: Layout, source: str) -> dict[str, Any]:
    """Returns the content of the marker of a source's token files. (The marker is a small file that says that they are
    complete.)
    """
    return _marker(layout, f"tokens-{source}")


def _marker(layout: Layout, step: str) -> dict[str, Any]:
    marker = read_marker(layout.marker(step))
    assert marker is not None, f"step {step} left no marker"
    return marker


def write_parts_into_stats(layout: Layout, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds the counts of each part to the statistics file of its source. A source has parts only if the recipe divides
    it by the values of a column.
    """
    for source, counted in parts.items():
        if exists(layout.stats(source)):
            stats: dict[str, Any] = json.loads(read_bytes(layout.stats(source))) | {"parts": dict(counted)}
            write_bytes(layout.stats(source), (json.dumps(stats, indent=1, ensure_ascii=False) + "\n").encode())


def write_tokens_into_stats(layout: Layout, sources: Iterable[str]) -> None:
    """Adds two counts to the statistics file of each source: the tokens of the source, and the documents that the
    exclusion list removed in the mix phase.
    """
    for source in sources:
        if not exists(layout.stats(source)):
            continue
        stats: dict[str, Any] = json.loads(read_bytes(layout.stats(source)))
        marker: Mapping[str, Any] = token_marker(layout, source)
        stats["tokens"] = marker["tokens"]
        stats["excluded_in_mix"] = marker["excluded"]
        stats.pop("parts", None)  # of an earlier recipe
        write_bytes(layout.stats(source), (json.dumps(stats, indent=1, ensure_ascii=False) + "\n").encode())
