"""Checks the folders and files that a request names on this machine, before Beam and the sources are imported."""

from __future__ import annotations

import os
from collections.abc import Container

from mixtures.recipe import Recipe
from pipeline.files.files import exists, is_local
from pipeline.output.lock import check_is_output, check_output
from pipeline.output.paths import Layout
from pipeline.settings.globs import is_surely_empty, nothing_matches
from pipeline.settings.request import Request


def check_places(request: Request) -> None:
    """Checks what a request names on this machine: models, inputs, the output folder, and outputs of earlier runs.

    Paths in object stores are checked later, because their check needs Beam. This function writes nothing.

    Raises:
        ValueError: a folder or a file does not exist; the output folder has files that no run wrote; or a source of the
            mixture has neither input nor clean documents.
    """
    flags = request.flags
    if flags.explain is not None:
        return
    if flags.phase != "mix" and request.models and is_local(request.models) and not os.path.isdir(request.models):
        raise ValueError(f"--models {request.models}: there is no such folder")
    for source, globs in request.inputs.items():
        for glob in globs if flags.phase != "mix" else ():
            if is_surely_empty(glob):
                raise ValueError(nothing_matches(source, glob))
    if flags.estimate:
        return
    check_output(request.output)
    for folder, flag in ((request.clean_from, "--from"), (request.continue_from, "--continue-from"),
                         (request.reuse, "--reuse")):  # fmt: skip
        check_is_output(folder, flag)
    layout = Layout(request.output, clean_from=request.clean_from)
    if is_local(layout.clean_output) and flags.phase == "all":
        check_mixable(request.recipe, request.names, layout)
    for source in request.recipe.weights if is_local(layout.clean_output) and flags.phase == "mix" else ():
        if source in request.names and not exists(layout.marker(f"clean-{source}")):
            raise ValueError(no_clean_documents(source, layout))


def no_clean_documents(source: str, layout: Layout) -> str:
    """Returns the message about a source without finished clean documents that the user wants to mix."""
    return (
        f"{source}: there are no finished clean documents in {layout.clean_output}; "
        f"run it with --phase=clean --input {source}=GLOB first, or take {source} out of the recipe"
    )


def check_mixable(recipe: Recipe, names: Container[str], layout: Layout) -> None:
    """Checks that each source of the mixture has input or clean documents. Without this check, the user would get the
    error only after hours of cleaning.

    Args:
        names: the sources of the run, which have input.

    Raises:
        ValueError: a source has neither input nor clean documents, and the recipe does not give the weight of a missing
            source to the other sources (``missing: share``).
    """
    if recipe.missing != "error":
        return
    lacking = [s for s in recipe.weights if s not in names and not exists(layout.marker(f"clean-{s}"))]
    if lacking:
        raise ValueError(
            f"recipe {recipe.name} gives a weight to {', '.join(lacking)}, for which there is no input: add "
            f"--input {lacking[0]}=GLOB, or run --phase=clean, or set mixture.missing: share in the config file"
        )
