"""Lists the models in a folder: what they were trained on, which rest on too little text, and which are missing."""

from __future__ import annotations

from typing import Any

from pipeline.models.find import find_models
from pipeline.models.load import how_to_get
from pipeline.models.trained import JUDGES, about_models, described, doubts

_OPTIONAL = ("bad_words",)


def listed(folder: str) -> dict[str, Any]:
    """Returns the models in a folder as values for JSON.

    Returns:
        ``models``: the name, the checksum and the files of each model by its key. ``doubts``: sentences about models
        that rest on too little text. ``missing``: the models that are not there, each with the command that gets it.

    Raises:
        ValueError: there is no such folder.
    """
    models = about_models(find_models(folder))
    found = [line for one in models.values() for line in doubts(one.get("files", ()))]
    missing = {key: how_to_get(key, (), folder) for key in (*JUDGES, *_OPTIONAL) if key not in models}
    return {"models": models, "doubts": found, "missing": missing}


def lines_of(values: dict[str, Any]) -> list[str]:
    """Returns what `listed` found as lines of text.

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
    lines += [f"{key:<12}missing; {how}" for key, how in values["missing"].items()]
    return [*lines, *(f"look at this: {doubt}" for doubt in values["doubts"])]
