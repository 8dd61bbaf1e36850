"""Records when each model was trained and on how much text, in the file ``trained.json`` beside the models. Reports
models that were made from too little text.

A record includes the checksum of the model's file. If the file is replaced later, its checksum differs, and the record
is ignored. The records are also written to the manifest and the report of a run.
"""

from __future__ import annotations

import csv
import datetime
import functools
import hashlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import BeamIOError

from pipeline.files.files import exists, read_bytes
from pipeline.files.store_files import StoreError
from pipeline.models.checksums import sha256_of
from pipeline.models.fetch import CHECKSUMS, LID, LID_FTZ_SHA256
from pipeline.models.load import ModelFiles, ModelPath, languages_of
from pipeline.models.stored_files import StoredFile, local_path

RECORDS = "trained.json"
CUTOFFS = "cutoff.csv"
_NUMBERS = ("documents", "text_bytes", "positives", "negatives")
"""The keys of a record whose values are whole numbers."""
UNKNOWN = "unknown"
JUDGES = ("language", "perplexity", "reference")
"""The keys of the models that give documents a score."""
MIN_LM_BYTES = 10_000_000
"""A language model that was trained on fewer bytes of text is reported (our choice). With less text, a piece of CCNet's
vocabulary of 65,536 pieces occurs fewer than about 30 times on average. So the model knows hardly any sequence of
pieces. CCNet trains on up to a million articles."""
MIN_CUTOFF_DOCS = 1_000
"""Cut-offs that were computed from fewer documents are reported (our choice). With fewer documents, the share of pages
below a cut-off is uncertain by more than 3 percentage points (twice the standard error of the 60th percentile)."""
MIN_POSITIVES = 1_000
"""A classifier that was trained on fewer positive pages is reported (our choice). With fewer positive pages, its
precision and recall are too uncertain to use."""


def record_training(folder: Path, trained: Mapping[str, Mapping[str, Any]]) -> None:
    """Records how much text some files were trained on. Call this when they have just been trained. The records of
    other files are kept.

    Args:
        folder: the folder of models.
        trained: maps the name of each file to its numbers: ``documents`` and ``text_bytes``, or ``positives``,
            ``negatives`` and ``text_bytes``.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    new = {name: {"sha256": sha256_of(str(folder / name)), "date": today, **said} for name, said in trained.items()}
    _write(folder / RECORDS, {**_read(str(folder / RECORDS)), **new})


def record_cutoffs(folder: Path, language: str, num_docs: int, before: str) -> None:
    """Records how many documents a language's cut-offs were computed from. Call this after the cut-offs were written
    into the table.

    If the table was fetched, it now differs from the published table. So its entry in ``checksums.json`` is removed.
    The columns of other languages have not changed, so each of them is recorded as published.

    Args:
        before: the text of the table before the cut-offs were written; empty if there was no table.
    """
    records = dict(_read(str(folder / RECORDS)))
    fetched = dict(_read(str(folder / CHECKSUMS)))
    entry = fetched.pop(CUTOFFS, None)
    if entry is not None:
        if entry.get("sha256") == hashlib.sha256(before.encode()).hexdigest():
            for name, digest in _columns(before).items():
                records[_column(name)] = {"sha256": digest, "url": entry.get("url", "")}
        _write(folder / CHECKSUMS, fetched)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    digest = _columns((folder / CUTOFFS).read_text("utf-8"))[language]
    records[_column(language)] = {"sha256": digest, "date": today, "documents": num_docs}
    _write(folder / RECORDS, records)


def about_models(models: Mapping[str, ModelPath]) -> dict[str, Any]:
    """Returns the manifest's entry about models: the name and the checksum of each model, by its key. If the model
    gives documents a score, the entry also has the descriptions of its files (:func:`files_of`)."""
    return {
        key: {"name": Path(str(path)).name, "sha256": sha256_of(path),
              **({"files": files_of(path)} if key in JUDGES else {})}
        for key, path in models.items()
    }  # fmt: skip


def files_of(path: ModelPath) -> list[dict[str, Any]]:
    """Returns a description of each file of a model: its name, its size in bytes, and where it is from.

    If the file was trained here, its description has the record of the training, with a ``date``. If the file was
    published, its description has the ``url``. If neither is known, the description has neither ``date`` nor ``url``.
    The table of cut-offs has one description per language that has a model and a column.
    """
    found: list[dict[str, Any]] = []
    for name, file in path.paths if isinstance(path, ModelFiles) else ((Path(str(path)).name, path),):
        if not isinstance(file, str | StoredFile):
            continue
        num_bytes = file.num_bytes if isinstance(file, StoredFile) else os.path.getsize(local_path(file))
        records, fetched = (_read(f"{str(file).rpartition('/')[0]}/{one}") for one in (RECORDS, CHECKSUMS))
        published = fetched.get(name, {})
        origin = {"url": published.get("url", "")} if published.get("sha256") == sha256_of(file) else {}
        if sha256_of(file) == LID_FTZ_SHA256:  # it comes with the package
            origin = {"url": LID + "lid.176.ftz"}
        if name == CUTOFFS and isinstance(path, ModelFiles):
            columns = _columns(Path(local_path(file)).read_text("utf-8"))
            for language in sorted(set(languages_of(path)) & set(columns)):
                record = _of_sha256(records.get(_column(language), {}), columns[language])
                found.append({"name": name, "language": language, "bytes": num_bytes, **(record or origin)})
        else:
            found.append({"name": name, "bytes": num_bytes,
                          **(_of_sha256(records.get(name, {}), sha256_of(file)) or origin)})  # fmt: skip
    return found


def doubts(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns one sentence for the user about each file that was made from too little text. ``files`` are the files of
    one model.

    >>> doubts([{"name": "en.arpa.bin", "documents": 90, "text_bytes": 160_000}])
    ['en.arpa.bin was trained on 0.16 MB of text, less than 10 MB, so its perplexities are uncertain']
    >>> doubts([{"name": "cutoff.csv", "language": "de", "documents": 101}])
    ['the cut-offs of de rest on 101 documents, so the share of pages below a cut-off is known to ± 9.7 points']
    """
    found = []
    for one in files:
        name = one.get("name", "")
        if name.endswith(".sp.model") and len(files) > 1:
            continue  # it was trained on the same text as the n-grams
        if "language" in one and one.get("documents", MIN_CUTOFF_DOCS) < MIN_CUTOFF_DOCS:
            points = 200 * math.sqrt(0.6 * 0.4 / max(1, one["documents"]))
            found.append(f"the cut-offs of {one['language']} rest on {one['documents']:,} documents, so the share "
                         f"of pages below a cut-off is known to ± {points:.1f} points")  # fmt: skip
        elif "positives" in one and one["positives"] < MIN_POSITIVES:
            found.append(f"{name} was trained on {one['positives']:,} positive pages, fewer than {MIN_POSITIVES:,}, "
                         "so its scores are uncertain")  # fmt: skip
        elif "positives" not in one and one.get("text_bytes", MIN_LM_BYTES) < MIN_LM_BYTES:
            megabytes = f"{one['text_bytes'] / 1e6:.2f} MB"
            found.append(f"{name} was trained on {megabytes} of text, less than {MIN_LM_BYTES / 1e6:.0f} MB, so "
                         "its perplexities are uncertain")  # fmt: skip
    return found


def doubts_of(paths: Sequence[Path]) -> list[str]:
    """Returns one sentence for the user about each of the files ``paths`` that was made from too little text.

    The files belong to one model and have just been trained. So their training records are used unchecked: the
    checksums in the records are not compared with the files.
    """
    return doubts([{"name": one.name, **_read(str(one.parent / RECORDS)).get(one.name, {})} for one in paths])


def described(file: Mapping[str, Any]) -> str:
    """Returns a few words about what a file was trained on. ``file`` is a description from :func:`files_of`.

    >>> described({"name": "de.sp.model", "documents": 1200, "text_bytes": 3_400_000, "date": "2026-01-31"})
    '1,200 documents, 3.4 MB of text, 2026-01-31'
    >>> described({"name": "en.sp.model", "url": "https://a.example/en.sp.model"})
    'published at https://a.example/en.sp.model'
    >>> described({"name": "en.arpa.bin"})
    'unknown'
    """
    if file.get("url"):
        return f"published at {file['url']}"
    if "date" not in file:
        return UNKNOWN
    if "positives" in file:
        return f"{file['positives']:,} positive and {file['negatives']:,} negative pages, {file['date']}"
    size = f", {file['text_bytes'] / 1e6:,.1f} MB of text" if "text_bytes" in file else ""
    return f"{file['documents']:,} documents{size}, {file['date']}"


def _column(language: str) -> str:
    return f"{CUTOFFS} {language}"


def _columns(table: str) -> dict[str, str]:
    """Returns the SHA-256 of each column in a table of cut-offs. The key of a column is its language. The hash covers
    the column's values."""
    header, *rows = [row for row in csv.reader(io.StringIO(table)) if row] or [[]]
    values = {language: "\n".join(row[n] for row in rows if len(row) > n) for n, language in enumerate(header) if n}
    return {language: hashlib.sha256(text.encode()).hexdigest() for language, text in values.items()}


def _of_sha256(record: Mapping[str, Any], sha256: str) -> dict[str, Any]:
    """Returns a record without its checksum if the checksum equals ``sha256``. Otherwise the record is about another
    file, and an empty record is returned.
    """
    return {key: one for key, one in record.items() if key != "sha256"} if record.get("sha256") == sha256 else {}


def _read(path: str) -> Mapping[str, Any]:
    return _parsed(path, os.path.getmtime(path) if os.path.isfile(path) else 0.0)


@functools.lru_cache(maxsize=64)
def _parsed(path: str, mtime: float) -> Mapping[str, Any]:
    try:
        found = json.loads(read_bytes(path)) if exists(path) else {}
    except (ValueError, OSError, BeamIOError, StoreError):
        return {}  # a record is only shown, so a damaged record must not end a run
    return {k: v for k, v in found.items() if _is_record(v)} if isinstance(found, dict) else {}


def _is_record(value: Any) -> bool:
    """True if a value from ``trained.json`` has the form that :func:`described` needs. Other values are ignored."""
    if not isinstance(value, dict):
        return False
    is_sound = all(type(value[key]) is int for key in _NUMBERS if key in value)
    has_size = "documents" in value or {"positives", "negatives"} <= value.keys()
    return is_sound and ("date" not in value or (isinstance(value["date"], str) and has_size))


def _write(path: Path, records: Mapping[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(temporary, path)
