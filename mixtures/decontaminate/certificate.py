"""Writes a certificate about finished shards: which shards were searched for which evaluation sets, by which rules, and
what was found.

The certificate contains no date, so that the same shards and sets give the same bytes. Every shard and every set has
its checksum, so that anyone can check which corpus the certificate is about.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mixtures.decoder import find_tokenizer
from mixtures.decontaminate.read_sets import checksum_of
from mixtures.decontaminate.search import SHARD_HITS_SCHEMA, SearchedShard, ShardTask, search_shards
from mixtures.decontaminate.settings import DecontaminationSettings
from mixtures.decontaminate.summary import ITEMS_SCHEMA, Summary, about
from mixtures.decontaminate.table import make_index, open_table, write_table
from mixtures.manifest import NAME, fingerprint_of, read_manifest, shard_infos, tokenizer_name
from mixtures.parquet_rows import open_parquet, whole_batches

FORMAT = 1
CERTIFICATE_NAME, HITS_NAME, ITEMS_NAME = "certificate.json", "hits-00000-of-00001.parquet", "items.parquet"
_FORM = {"compression": "zstd", "write_page_checksum": True}


@dataclass(frozen=True, slots=True)
class ShardList:
    """Lists the shards to search. If the shards have a manifest, also holds their checksums from it."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    """The paths of the shards as the certificate shows them."""
    tokenizer: Path
    checksums: tuple[str, ...] = ()
    """The manifest's checksums, in the order of the shards. Empty without a manifest."""
    recipe: str = ""
    fingerprint: str = ""


def list_shards(given: Sequence[str], tokenizer: str | None) -> ShardList:
    """Returns the training shards of an output folder, or the given shards.

    Args:
        given: an output folder, or shards and folders that contain shards.
        tokenizer: the path of the tokenizer, or None to look for it next to the shards.

    Raises:
        ValueError: a file is missing, there is no shard, or no tokenizer is found.
    """
    if len(given) == 1 and (Path(given[0]) / NAME).is_file():
        folder = Path(given[0])
        manifest = read_manifest(folder)
        infos = shard_infos(manifest)
        _check_there([folder / info.path for info in infos])
        return ShardList(
            paths=tuple(folder / info.path for info in infos),
            names=tuple(info.path for info in infos),
            tokenizer=Path(tokenizer) if tokenizer else folder / tokenizer_name(manifest),
            checksums=tuple(info.sha256 for info in infos),
            recipe=manifest["recipe"],
            fingerprint=fingerprint_of(manifest["tokenizer"]["sha256"], infos),
        )
    paths = [path for one in map(Path, given) for path in (sorted(one.rglob("*.arrow")) if one.is_dir() else [one])]
    _check_there(paths)
    if not paths:
        raise ValueError(f"{given[0]} has no shard (*.arrow)")
    found = Path(tokenizer) if tokenizer else find_tokenizer(paths[0])
    return ShardList(tuple(paths), tuple(map(str, paths)), found)


def _check_there(paths: Iterable[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is not there")


def certify(shards: ShardList, sets: DecontaminationSettings, folder: Path, num_processes: int) -> dict[str, Any]:
    """Searches shards, and writes the certificate, the table of hits and the table of items into ``folder``.

    Returns the certificate. Documents with a hit are only reported, even if a set says to drop or cut them, because
    finished shards are not changed. The certificate is written last.

    Raises:
        ValueError: a set or a shard cannot be read, or a shard differs from the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CERTIFICATE_NAME).unlink(missing_ok=True)
    marking = replace(sets, sets=tuple(replace(one, action="mark", public_action="mark") for one in sets.sets))
    checksums = {one.name: checksum_of(one) for one in sets.sets}
    with tempfile.TemporaryDirectory(prefix=".search-", dir=folder) as scratch:
        table = Path(scratch) / "sets.evals"
        with table.open("wb") as sink:
            write_table(make_index(marking), checksums, sink)
        tasks = [
            ShardTask(str(path), name, str(table), str(shards.tokenizer), str(Path(scratch) / f"{number:06}.parquet"))
            for number, (path, name) in enumerate(zip(shards.paths, shards.names, strict=True))
        ]
        summary = Summary(open_table(table))
        searched = []
        with _written(folder / HITS_NAME) as temporary, \
                pq.ParquetWriter(temporary, SHARD_HITS_SCHEMA, **_FORM) as writer:  # fmt: skip
            for number, shard in enumerate(search_shards(tasks, num_processes)):
                _check_shard(shards, number, shard)
                searched.append(shard)
                for batch in whole_batches(open_parquet(shard.hits), batch_size=1024):
                    writer.write_batch(batch)
                    summary.add(batch.to_pylist())
                os.unlink(shard.hits)
        with _written(folder / ITEMS_NAME) as temporary, \
                pq.ParquetWriter(temporary, ITEMS_SCHEMA, **_FORM) as writer:  # fmt: skip
            for batch in summary.item_batches():
                writer.write_batch(batch)
        sources = {source for shard in searched for source in shard.sources}
        said = about(open_table(table), summary.sets(checksums), sources)
    certificate = {
        "format": FORMAT,
        "recipe": shards.recipe,
        "fingerprint": shards.fingerprint,
        "documents": sum(one.documents for one in searched),
        "tokens": sum(one.tokens for one in searched),
        "is_clean": not any(one["contamination_hits"] for one in said["sets"]),
        "decontamination": said,
        "shards": [
            {"path": one.name, "sha256": one.sha256, "documents": one.documents, "tokens": one.tokens}
            for one in searched
        ],
    }
    with _written(folder / CERTIFICATE_NAME) as temporary:
        temporary.write_text(json.dumps(certificate, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return certificate


def _check_shard(shards: ShardList, number: int, shard: SearchedShard) -> None:
    if shards.checksums and shards.checksums[number] != shard.sha256:
        raise ValueError(
            f"{shards.paths[number]} is not the shard that the manifest lists: its checksum differs; "
            f"python -m mixtures.verify says more"
        )


class _written:  # noqa: N801 - used like a function
    """Yields a temporary path. After the ``with`` block, renames the file to ``path``, or deletes it if the block
    raised an error.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(path.name + ".tmp")

    def __enter__(self) -> Path:
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            os.replace(self._temporary, self._path)
        else:
            self._temporary.unlink(missing_ok=True)


def strongest(path: Path, limit: int) -> list[dict[str, Any]]:
    """Returns the ``limit`` strongest hits of a table of hits.

    Contamination comes before public passages (texts that a set's authors took from public sources). Within each of
    the two groups, the hit with the largest product of score and length comes first.
    """

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        score = max(row["question_score"], row["passage_score"])
        return row["class"] != "contamination", -score * (row["end_char"] - row["start_char"]), row["set"], row["item"]

    best: list[dict[str, Any]] = []
    for rows in _row_batches(path):
        best = sorted([*best, *rows], key=key)[:limit]
    return best


def _row_batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    for batch in whole_batches(open_parquet(path), batch_size=1024):
        yield batch.to_pylist()
