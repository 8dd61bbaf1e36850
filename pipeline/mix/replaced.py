"""Tells the user which finished shards a run is about to replace."""

from __future__ import annotations

from pipeline.mix.phase import read_whole_manifest
from pipeline.output.paths import Layout


def outdated(layout: Layout) -> str:
    """Returns a message for the user if complete shards are there and the run is about to clean a source again; an
    empty string if there are none.
    """
    manifest = read_whole_manifest(layout)
    if manifest is None:
        return ""
    return (
        f"clean: the {len(manifest['shards']):,} shards of recipe {manifest['recipe']} (seed {manifest['seed']}, "
        f"{manifest['tokens']:,} tokens) in {layout.output} are of other clean documents than this run writes, so they "
        "no longer count; another --output would have kept them"
    )


def replaced(layout: Layout) -> str:
    """Returns a message for the user if the new mixture will replace complete shards; an empty string if there are
    none.
    """
    manifest = read_whole_manifest(layout)
    if manifest is None:
        return ""
    return (
        f"mix: replaces the {len(manifest['shards']):,} shards of recipe {manifest['recipe']} (seed {manifest['seed']},"
        f" {manifest['tokens']:,} tokens) in {layout.output}; --phase=mix --from {layout.output} --output DIR would "
        "have kept them"
    )
