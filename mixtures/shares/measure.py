"""``python -m mixtures.shares DIR``: checks that the mixture is the same everywhere in an output.

The command prints four shares of the tokens per source: the planned share; the share in the whole output; the share in
the shard that differs most from the whole output; and the share at the beginning of the loader's stream. The planned
share and the share in the whole output differ by less than one token. The other two shares show how well the shuffle
mixes the sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixtures.loader import Loader, LoaderSettings
from mixtures.manifest import shard_infos
from mixtures.plan.table import format_rows
from mixtures.stream import TokenStream


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShares:
    """Holds one source's shares of the tokens, from 0 to 1."""

    source: str
    planned: float
    """The recipe's weight, as a share of the weights of all sources in the output."""
    whole: float
    """Share in the whole output."""
    worst_shard: float
    """Share in the shard whose share differs most from ``whole``."""
    worst_path: str
    """Path of the shard with the share ``worst_shard``."""
    first: float
    """Share at the beginning of the loader's stream."""


def shares(stream: TokenStream, *, settings: LoaderSettings, num_sequences: int) -> list[SourceShares]:
    """Returns each source's shares of the tokens, planned and found. The source with the largest planned share comes
    first.

    Args:
        num_sequences: how many sequences count as the beginning of the stream.

    Raises:
        ValueError: the stream has fewer tokens than one batch.
    """
    sources = stream.manifest["sources"]
    infos = [info for info in shard_infos(stream.manifest) if info.tokens]
    weights = sum(line["weight"] for line in sources.values())
    seen = first_tokens(stream, settings=settings, num_sequences=num_sequences)
    found = []
    for source, line in sources.items():
        whole = line["tokens"] / stream.num_tokens
        in_shards = {info.path: info.sources.get(source, 0) / info.tokens for info in infos}
        worst = max(in_shards, key=lambda path: (abs(in_shards[path] - whole), path))
        found.append(
            SourceShares(
                source=source,
                planned=line["weight"] / weights,
                whole=whole,
                worst_shard=in_shards[worst],
                worst_path=worst,
                first=seen.get(source, 0) / max(1, sum(seen.values())),
            )
        )
    return sorted(found, key=lambda one: -one.planned)


def first_tokens(stream: TokenStream, *, settings: LoaderSettings, num_sequences: int) -> Mapping[str, int]:
    """Returns how many tokens of each source are at the beginning of the stream.

    The beginning has ``num_sequences`` sequences, rounded up to whole batches.
    """
    tokens, sequences = np.zeros(len(stream.source_names)), 0
    for batch in Loader(stream, settings):
        lengths = np.diff(batch.segment_begins, append=batch.input_ids.size)
        tokens += np.bincount(batch.segment_sources, weights=lengths, minlength=len(tokens))
        sequences += len(batch.sequences)
        if sequences >= num_sequences:
            break
    return {name: int(n) for name, n in zip(stream.source_names, tokens, strict=True)}


def format_shares(found: Sequence[SourceShares]) -> str:
    """Returns the shares as a table of text, in percent."""
    rows = [
        (one.source, *(f"{100 * share:.3f}" for share in (one.planned, one.whole, one.worst_shard, one.first)))
        for one in found
    ]
    return format_rows(rows, ("source", "planned %", "whole output %", "worst shard %", "first of the stream %"))
