"""``python -m mixtures.forget DIR``: removes documents from finished shards.

Only the shards that contain the documents are rewritten. The other rows of these shards stay the same, in the same
order. Nothing replaces the removed documents, so the stream becomes shorter and the sources' shares change. The
manifest gets the new shares.

``manifest.json`` also gets an entry in ``forgotten``. The entry contains the time, the reason, the rows and tokens
removed per source, the fingerprint before the removal, and the name of a file ``forgotten/NNNNN.txt``. This file lists
the ids. The dataset card and the report get a notice, because their numbers are older than the new shards. New shards
have temporary names until all are complete. If the command is killed before that, nothing has changed. If it is killed
while it renames the shards, the next call of the command finishes the renaming. Only one command or run at a time can
change the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.folder_lock import only_writer
from mixtures.manifest import NAME, NEW_MANIFEST, dumps, fingerprint_of, read_manifest, shard_infos, validation_infos
from mixtures.notices import add_notice
from mixtures.part_rows import rows_of_source
from mixtures.parts import is_of
from mixtures.shards import ShardInfo, ShardMetadata, read_batches, write_shard
from mixtures.storage import LocalStorage
from mixtures.stream import check_shard, check_sizes, check_sum
from tokenizer.did_you_mean import or_list

FOLDER = "forgotten"


@dataclass(slots=True)
class Forgotten:
    """Counts the removed documents, rows and tokens."""

    documents: set[tuple[str, str]] = field(default_factory=set)
    """Source and id of each removed document."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows removed from training shards, by source. A document has one row per epoch."""
    tokens: Counter[str] = field(default_factory=Counter)
    held_rows: Counter[str] = field(default_factory=Counter)
    """Rows removed from validation shards, by source."""
    held_tokens: Counter[str] = field(default_factory=Counter)
    shards: list[str] = field(default_factory=list)
    """Paths of the rewritten shards."""

    def add(self, batch: pa.RecordBatch, mask: pa.Array, *, is_held_out: bool) -> None:
        """Counts the rows of a batch that the mask selects."""
        rows, tokens = (self.held_rows, self.held_tokens) if is_held_out else (self.rows, self.tokens)
        chosen = batch.filter(mask)
        sources = chosen.column("source").dictionary_decode().to_pylist()
        lengths = pc.list_value_length(chosen.column("input_ids")).to_pylist()
        for source, doc_id, length in zip(sources, chosen.column("doc_id").to_pylist(), lengths, strict=True):
            self.documents.add((source, doc_id))
            rows[source] += 1
            tokens[source] += length


def forget(folder: str | Path, ids: Sequence[str], *, source: str | None = None, when: str, why: str = "") -> Forgotten:
    """Removes all rows of the given documents from an output's training and validation shards. Returns the counts.

    Args:
        folder: the output folder of a run, on a local disk.
        ids: the documents' ids. Ids that no shard contains are ignored.
        source: if given, only documents of this source or part are removed.
        when: the time to record in the manifest.
        why: the reason to record in the manifest, in any words.

    Raises:
        ValueError: the folder has no finished output, or a shard does not match the manifest.
    """
    if "://" in str(folder):
        raise ValueError(f"{folder}: the shards must be on a local disk to be written again")
    root = Path(folder)
    with only_writer(root):
        return _forget(root, ids, source, when=when, why=why)


def _forget(root: Path, ids: Sequence[str], source: str | None, *, when: str, why: str) -> Forgotten:
    _finish(root)
    manifest = read_manifest(root)
    names = [*manifest["sources"], *manifest["validation"]]
    if source is not None and not any(is_of(name, source) for name in names):
        raise ValueError(f"--source: {source!r} is not a source of {root}{or_list(source, dict.fromkeys(names))}")
    training, held = shard_infos(manifest), validation_infos(manifest)
    all_infos = [*training, *(info for infos in held.values() for info in infos)]
    check_sizes(LocalStorage(root), all_infos)
    for name in {(root / info.path).parent for info in all_infos}:
        for left in name.glob(".*.forget"):  # left by a command that was killed before its shards were complete
            left.unlink()
    wanted = pa.array(sorted(set(ids)), pa.string())
    found = Forgotten()
    touched = [info for info in all_infos if info.rows and _holds(root, info, wanted, source)]
    if not touched:
        return found
    sources = _all_sources(root, touched[0])
    new: dict[str, ShardInfo] = {}
    trained = {info.path for info in training}
    try:
        for info in touched:
            check_shard(LocalStorage(root), info, manifest)
            check_sum(LocalStorage(root), info)
            kept = _kept(root, info, wanted, source, found, is_held_out=info.path not in trained)
            with _temporary(root / info.path).open("wb") as sink:
                new[info.path] = write_shard(
                    sink, kept, path=info.path, sources=sources, metadata=_metadata(root, info)
                )
        found.shards = list(new)
        text = "".join(f"{doc_id}\n" for doc_id in sorted({doc_id for _, doc_id in found.documents}))
        entry = _entry(root, manifest, found, text) | {"when": when, "why": why}
        changed = _changed(manifest, new, found, entry)
        whole = {"ids": {entry["ids"]: text}, "renames": list(new), "manifest": changed}
        _write_whole(root / NEW_MANIFEST, json.dumps(whole))
    except BaseException:
        for info in touched:
            _temporary(root / info.path).unlink(missing_ok=True)
        raise
    _finish(root)
    return found


def finish(folder: Path) -> bool:
    """Finishes the renaming of new shards if an earlier command was killed during it. Returns True in this case.

    Raises:
        ValueError: another process is changing the folder, or there is no such folder.
    """
    with only_writer(folder):
        return _finish(folder)


def _finish(folder: Path) -> bool:
    path = folder / NEW_MANIFEST
    if not path.is_file():
        return False
    said = json.loads(path.read_text(encoding="utf-8"))
    for name, text in said.get("ids", {}).items():
        (folder / FOLDER).mkdir(exist_ok=True)
        _write_whole(folder / name, text)
    for name in said["renames"]:
        if (temporary := _temporary(folder / name)).is_file():
            temporary.replace(folder / name)
    _write_whole(folder / NAME, dumps(said["manifest"]))
    add_notice(folder, _notice(said["manifest"]["forgotten"][-1]))
    path.unlink()
    return True


def _notice(entry: Mapping[str, Any]) -> str:
    """Returns the notice about removed documents for the card and the report. The notice stays in both files until a
    run writes them again."""
    tokens = sum(entry["tokens"].values()) + sum(entry["validation_tokens"].values())
    why = f" ({entry['why']})" if entry["why"] else ""
    return (
        f"{documents_text(entry['documents'])} with {tokens:,} tokens left the shards on "
        f"{entry['when'][:10]}"
        f"{why}. The numbers below are those from before. manifest.json has the new ones. python -m pipeline.report on "
        "this folder writes this page again."
    )


def documents_text(number: int) -> str:
    """Returns a number of documents in words.

    >>> documents_text(1), documents_text(1_200)
    ('1 document', '1,200 documents')
    """
    return "1 document" if number == 1 else f"{number:,} documents"


def _temporary(shard: Path) -> Path:
    return shard.with_name(f".{shard.name}.forget")


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _mask(batch: pa.RecordBatch, wanted: pa.Array, source: str | None) -> pa.Array:
    mask = pc.is_in(batch.column("doc_id"), wanted)
    if source is not None:
        mask = pc.and_(mask, rows_of_source(batch.column("source"), source))
    return mask


def _batches(root: Path, info: ShardInfo) -> Iterator[pa.RecordBatch]:
    try:
        with pa.memory_map(str(root / info.path)) as mapped:
            yield from read_batches(pa.ipc.open_file(mapped))
    except pa.ArrowException as error:
        raise ValueError(f"{root / info.path} is damaged: {error} ({info.line()})") from error


def _holds(root: Path, info: ShardInfo, wanted: pa.Array, source: str | None) -> bool:
    """Returns True if the shard has a row that must be removed. Reads only the shard's columns of ids and sources."""
    return any(pc.any(_mask(batch, wanted, source)).as_py() for batch in _batches(root, info))


def _kept(
    root: Path, info: ShardInfo, wanted: pa.Array, source: str | None, found: Forgotten, *, is_held_out: bool
) -> Iterator[pa.RecordBatch]:
    for batch in _batches(root, info):
        mask = _mask(batch, wanted, source)
        found.add(batch, mask, is_held_out=is_held_out)
        yield batch.filter(pc.invert(mask))


def _metadata(root: Path, info: ShardInfo) -> ShardMetadata:
    with pa.memory_map(str(root / info.path)) as mapped:
        return ShardMetadata.of(pa.ipc.open_file(mapped).schema)


def _all_sources(root: Path, info: ShardInfo) -> list[str]:
    """Returns the names of all sources and parts in a run. The Arrow dictionary of the column ``source`` contains them
    in every shard."""
    batch = next(_batches(root, info))
    return list(batch.column("source").dictionary.to_pylist())


def _entry(root: Path, manifest: Mapping[str, Any], found: Forgotten, text: str) -> dict[str, Any]:
    """Returns the manifest's entry about the removed documents. ``text`` is the content of the file of ids."""
    number = len(manifest.get("forgotten", [])) + 1
    while (path := root / FOLDER / f"{number:05d}.txt").exists() and path.read_text("utf-8") != text:
        number += 1  # the list was written for an earlier mixture in this folder, and is still needed
    name = f"{FOLDER}/{number:05d}.txt"
    return {
        "when": "",
        "why": "",
        "ids": name,
        "ids_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "documents": len(found.documents),
        "rows": dict(sorted(found.rows.items())),
        "tokens": dict(sorted(found.tokens.items())),
        "validation_rows": dict(sorted(found.held_rows.items())),
        "validation_tokens": dict(sorted(found.held_tokens.items())),
        "shards": found.shards,
        "fingerprint_before": fingerprint_of(manifest["tokenizer"]["sha256"], shard_infos(manifest)),
    }


def _changed(
    manifest: Mapping[str, Any], new: Mapping[str, ShardInfo], found: Forgotten, entry: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the manifest of the output after the removal."""
    shards = [new.get(info.path, info) for info in shard_infos(manifest)]
    tokens = sum(info.tokens for info in shards)
    sources = {}
    for source, line in manifest["sources"].items():
        left = line["tokens"] - found.tokens[source]
        sources[source] = {
            **line,
            "share": round(100 * left / max(1, tokens), 6),
            "tokens": left,
            "documents": line["documents"] - found.rows[source],
            "epochs": round(left / max(1, line["available_tokens"]), 6),
        }
    validation = {
        source: {
            **manifest["validation"][source],
            "documents": sum(new.get(info.path, info).rows for info in infos),
            "tokens": sum(new.get(info.path, info).tokens for info in infos),
            "shards": [asdict(replace(new.get(info.path, info))) for info in infos],
        }
        for source, infos in validation_infos(manifest).items()
    }
    return {
        **manifest,
        "fingerprint": fingerprint_of(manifest["tokenizer"]["sha256"], shards),
        "tokens": tokens,
        "documents": manifest["documents"] - sum(found.rows.values()),
        "sources": sources,
        "validation": validation,
        "shards": [asdict(info) for info in shards],
        "forgotten": [*manifest.get("forgotten", []), dict(entry)],
    }
