"""Lists the models in a folder: what each was trained on, and whether that was too little text. Also lists the models
that are missing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.models.find import find_models
from pipeline.models.load import how_to_get
from pipeline.models.stored_files import is_stored
from pipeline.models.trained import CUTOFFS, JUDGES, about_models, described, doubts

_OPTIONAL = ("bad_words",)


def listed(folder: str) -> dict[str, Any]:
    """Returns a description of the models in a folder, as values for JSON.

    Returns:
        A dict with three keys. ``models`` has the name, the checksum and the files of each model, by the model's key.
        ``doubts`` has sentences about models that were made from too little text. ``missing`` maps each missing model
        to the command that gets it.

    Raises:
        ValueError: there is no such folder.
    """
    if not is_stored(folder) and not os.path.isdir(folder):
        raise ValueError(f"--models {folder}: there is no such folder; fetch and train-* make it")
    models = about_models(find_models(folder))
    found = [line for one in models.values() for line in doubts(one.get("files", ()))]
    missing = {key: how_to_get(key, (), folder) for key in (*JUDGES, *_OPTIONAL) if key not in models}
    missing |= _lacking(models.get("perplexity", {}).get("files", ()), folder)
    return {"models": models, "doubts": found, "missing": missing}


def _lacking(files: Sequence[Mapping[str, Any]], folder: str) -> dict[str, str]:
    """Returns the missing files of perplexity models. Maps each of them to the command that gets it.

    In the example, German has no SentencePiece model and no cut-offs:

    >>> list(_lacking([{"name": "de.arpa"}, {"name": "cutoff.csv", "language": "en"}], "models"))
    ['de.sp.model', 'cutoff.csv: de']
    """
    names = {file["name"] for file in files}
    with_cutoffs = {file["language"] for file in files if "language" in file}
    found = {}
    for language in sorted({name.split(".")[0] for name in names if name.endswith((".arpa", ".arpa.bin"))}):
        if f"{language}.sp.model" not in names:
            found[f"{language}.sp.model"] = how_to_get("perplexity", (language,), folder)
        if language not in with_cutoffs:
            flags = f"--models {folder} --language {language} --input GLOB"
            found[f"{CUTOFFS}: {language}"] = f"compute it with `python -m pipeline.models cutoffs {flags}`"
    return found


def lines_of(values: dict[str, Any]) -> list[str]:
    """Formats the result of :func:`listed` as lines of text.

    >>> lines_of({"models": {"bad_words": {"name": "en.txt"}}, "doubts": [], "missing": {"reference": "train it"}})
    ['bad_words   en.txt', 'reference   missing; train it']
    """
    lines = []
    for key, one in values["models"].items():
        for file in one.get("files") or [{"name": one["name"]}]:
            name = f"{file['name']} ({file['language']})" if "language" in file else file["name"]
            size = f"  {file['bytes'] / 1e6:,.2f} MB" if "bytes" in file else ""
            trained = f"  trained on: {described(file)}" if key in JUDGES else ""
            lines.append(f"{key:<12}{name}{size}{trained}")
    lines += [f"{key:<11} missing; {how}" for key, how in values["missing"].items()]
    return [*lines, *(f"look at this: {doubt}" for doubt in values["doubts"])]
