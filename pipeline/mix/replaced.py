"""Makes the messages about finished shards that a run is about to replace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.mix.phase import read_whole_manifest
from pipeline.output.paths import Layout
from tokenizer.numbers import counted


def to_be_replaced(layout: Layout, recipe: str) -> str:
    """Returns a message for the user at the beginning of a run: the run will replace shards that another recipe made.

    Returns an empty string if the output has no complete shards, or if they are from the recipe of this run.
    """
    manifest = read_whole_manifest(layout)
    if manifest is None or manifest["recipe"] == recipe:
        return ""
    return (
        f"{layout.output} holds the {len(manifest['shards']):,} shards of recipe {manifest['recipe']} (seed "
        f"{manifest['seed']}, {manifest['tokens']:,} tokens), which this run of recipe {recipe} will replace; "
        "interrupt it now to keep them, and give another --output"
    )


def outdated(layout: Layout) -> str:
    """Returns a message for a run that is about to clean a source again: the complete shards in the output will no
    longer match the clean documents. Returns an empty string if the output has no complete shards.
    """
    manifest = read_whole_manifest(layout)
    if manifest is None:
        return ""
    return (
        f"clean: the {_described(manifest)} in {layout.output} are of other clean documents than this run writes, so "
        "they no longer count; another --output would have kept them"
    )


def replaced(layout: Layout) -> str:
    """Returns a message for the user: the new mixture will replace the complete shards in the output. Returns an empty
    string if the output has no complete shards.
    """
    manifest = read_whole_manifest(layout)
    if manifest is None:
        return ""
    return (
        f"mix: replaces the {_described(manifest)} in {layout.output}; --phase=mix --from {layout.output} --output DIR "
        "would have kept them"
    )


def _described(manifest: Mapping[str, Any]) -> str:
    shards = counted(len(manifest["shards"]), "shard")
    return f"{shards} of recipe {manifest['recipe']} (seed {manifest['seed']}, {manifest['tokens']:,} tokens)"
