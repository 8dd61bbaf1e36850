"""Protects a finished mixture from a run that would replace it with the mixture of another recipe."""

from __future__ import annotations

from pipeline.mix.phase import read_whole_manifest
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings


def check_recipe(settings: Settings, layout: Layout) -> None:
    """Checks that the output holds no finished mixture of another recipe. Recipes are compared by their names.

    The shards of another recipe are most likely another experiment, so a run replaces them only if the user says so.
    The same recipe with other settings may replace its own mixture: this is how a run is corrected.

    Raises:
        ValueError: the output holds the mixture of another recipe, and the run has no ``--overwrite``.
    """
    if settings.phase == "clean" or settings.overwrite:
        return
    manifest = read_whole_manifest(layout)
    if manifest is None or manifest["recipe"] == settings.recipe.name:
        return
    raise ValueError(
        f"--output {layout.output}: it holds the mixture of recipe {manifest['recipe']} ({manifest['tokens']:,} "
        f"tokens), which recipe {settings.recipe.name} would replace; name a new folder (--output NEW; with "
        f"--phase=mix --from {layout.clean_output} it takes the clean documents from here), or delete this mixture "
        "with --overwrite"
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
