"""Finds the models that steps need, and checks them.

A model is found by the name of its file in the folder of models. The folder can contain:

==================================  =================================================================
``lid.176.bin`` or ``.ftz``         fastText's language identification (the ``.ftz`` comes with the package)
``language.bin`` or ``.ftz``        another fastText model, such as GlotLID; used instead of lid.176
``<lang>.arpa.bin`` or ``.arpa``    a KenLM language model, as CCNet uses it to compute perplexities
``<lang>.sp.model``                 the SentencePiece model that splits text for the KenLM model
``cutoff.csv``                      perplexities at the percentiles 0 to 100, one column per language
``reference.bin`` or ``.ftz``       the classifier of references (labels ``wiki`` and ``cc``)
``badwords/en.txt``                 a list of bad words, one per line
``urls/<category>/domains``         a blocklist of hosts, one per line, in UT1's format
``urls/<category>/urls``            a blocklist of addresses, one per line, in UT1's format
==================================  =================================================================

A run does not download anything. These commands fetch and train models:

    python -m pipeline.models fetch --models DIR [NAME ...]
    python -m pipeline.models train-lm | cutoffs | train-reference --help
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from filters.ccnet.perplexity import Perplexity, read_cutoffs
from filters.language.codes import LANGUAGES
from filters.language.detect import LABEL, DetectLanguage, Language
from filters.reference import REFERENCE_LABEL, Reference
from filters.step import Step
from filters.url_lists import UrlList
from pipeline.models.fasttext_file import labels_of
from pipeline.models.load import ModelFiles, ModelPath, check_file, check_pairs, get_again, how_to_get, languages_of
from pipeline.models.matching import check_is_language_model
from pipeline.models.renaming import renaming
from pipeline.models.stored_files import (
    PACKAGED,
    StoredFile,
    is_stored,
    list_stored,
    local_path,
    packaged_path,
    with_checksum,
)
from pipeline.settings.languages import meant_language
from pipeline.sources.source import Source

_OPTIONAL = frozenset({"bad_words", "decontamination", "exclude", "tokenizer"})
"""The models without which a run can start. Three of them are lists: bad words, exclusions, and evaluation items. If a
list is missing, the step that uses it keeps every document. If there is no tokenizer, the run trains one on the clean
documents.
"""
_PACKED_LANGUAGE_MODEL = "lid.176.ftz"
_URL_LIST = re.compile(r"urls/[^/]+/(?:domains|urls)")


class MissingModels(ValueError):  # noqa: N818 - the name says what is wrong
    """Raised if models that a run needs are not found. ``missing`` has one message per model."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__("; ".join(missing))
        self.missing = tuple(missing)


def find_models(models_dir: str | None) -> dict[str, ModelPath]:
    """Finds the models in a folder, and the language identification model that comes with the package.

    Returns:
        A mapping from the key that steps use (for example ``language`` or ``perplexity``) to the path or paths of the
        model.

    Raises:
        ValueError: there is no such folder, or its store cannot be read.
    """
    files = _files_in(models_dir)
    found: dict[str, ModelPath] = {}
    names = ("language.bin", "language.ftz", "lid.176.bin", "lid.176.ftz")
    language = _first(files, *names) or packaged_path(_PACKED_LANGUAGE_MODEL)
    if language:
        found["language"] = language
    if reference := _first(files, "reference.bin", "reference.ftz"):
        found["reference"] = reference
    of_perplexity = tuple((name, files[name]) for name in sorted(files) if _is_of_perplexity(name))
    if of_perplexity:
        found["perplexity"] = ModelFiles(of_perplexity)
    if words := _first(files, "badwords/en.txt"):
        found["bad_words"] = words
    of_urls = tuple((name, files[name]) for name in sorted(files) if _URL_LIST.fullmatch(name))
    if of_urls:
        found["url_lists"] = ModelFiles(of_urls)
    return found


def portable(path: ModelPath) -> ModelPath:
    """Returns a model's path in a form that works on any machine.

    The path of a file in a store (``gs://``, ``s3://``) gets the file's checksum. The path of the model that comes with
    the package differs from machine to machine, so it is replaced by the model's name. All other paths stay as they
    are.
    """
    if isinstance(path, ModelFiles):
        return ModelFiles(tuple((n, with_checksum(f) if isinstance(f, StoredFile) else f) for n, f in path.paths))
    if isinstance(path, StoredFile):
        return with_checksum(path)
    return PACKAGED + _PACKED_LANGUAGE_MODEL if path == packaged_path(_PACKED_LANGUAGE_MODEL) else path


def require_models(
    found: Mapping[str, ModelPath], source: str, steps: Iterable[object], models_dir: str | None
) -> dict[str, ModelPath]:
    """Returns the paths of the models that a source's steps need.

    Perplexity models have a file per language. Only the files of the languages that the source keeps are returned.

    Raises:
        MissingModels: some models are missing. The message names all of them and the commands that get them.
        ValueError: a file is truncated, or is not a model of the needed kind.
    """
    steps = tuple(steps)
    needed: dict[str, ModelPath] = {}
    missing: list[str] = []
    languages: tuple[str, ...] = ()
    for step in steps:
        if isinstance(step, Language):
            languages = step.languages
        for key in step.MODELS if isinstance(step, Step) else ():
            if key in found:
                needed[key] = found[key]
            elif key not in _OPTIONAL and not (key == "perplexity" and _needs_no_score(step)):
                missing.append(_missing(source, key, languages, models_dir))
            if isinstance(step, UrlList) and key in needed:
                needed[key], lacking = _of_categories(found[key], step.categories)
                missing += [_missing(source, f"{key}: {name}", (), models_dir) for name in lacking]
            if key == "perplexity" and key in needed:
                files = found[key]
                assert isinstance(files, ModelFiles)
                try:
                    needed[key] = _of_languages(files, source, languages, is_all=_needs_no_score(step))
                except MissingModels as error:
                    missing += error.missing
    if missing:
        raise MissingModels(missing)
    _check_files(needed)
    _check_kinds(source, steps, needed)
    return needed


def _check_files(needed: Mapping[str, ModelPath]) -> None:
    """Checks that the files of models on this machine are complete. Lists, such as bad words, and files in a store are
    not checked."""
    for path in needed.values():
        for file in (one for _, one in path.paths) if isinstance(path, ModelFiles) else (path,):
            is_list = isinstance(file, str) and file.endswith((".csv", ".txt", "/domains", "/urls"))
            if isinstance(file, str) and not is_stored(file) and not is_list:
                check_file(local_path(file))


def _check_kinds(source: str, steps: Sequence[object], needed: Mapping[str, ModelPath]) -> None:
    """Checks that the models are of the kinds that the steps need. A file of the right name can have a model of another
    kind."""
    perplexity, language = needed.get("perplexity"), needed.get("language")
    if isinstance(perplexity, ModelFiles):
        check_pairs(perplexity)
    judges = [step for step in steps if isinstance(step, Language | DetectLanguage)]
    named = {name for step in judges for name in _named(step)}
    if isinstance(language, str) and not is_stored(language) and not named:  # else the names themselves are looked up
        check_is_language_model(local_path(language), source, judges[0] if judges else None)
    for step in steps:
        if isinstance(step, Language | DetectLanguage) and isinstance(language, str | StoredFile):
            _check_languages(source, step, language)
        if isinstance(step, Reference) and isinstance(needed.get("reference"), str | StoredFile):
            _check_reference(source, needed["reference"])


def _named(step: Language | DetectLanguage) -> set[str]:
    """Returns the languages and the labels that a step's settings name."""
    named = {*step.languages, *step.min_scores} if isinstance(step, Language) else set()
    return named | step.renames.keys()


def _check_languages(source: str, step: Language | DetectLanguage, path: ModelPath) -> None:
    """Checks that a language identification model can return all languages that a step's settings name.

    If the settings had only names that the model never returns, the step would drop all documents.
    """
    named = _named(step)
    if named <= LANGUAGES and "lid.176." in str(path):
        return  # the usual case: nothing has to be read
    assert isinstance(path, str | StoredFile)
    labels = labels_of(local_path(path))
    returned = {step.renames.get(label, label) for label in labels}
    for name in sorted((named - step.renames.keys() - returned) | (step.renames.keys() - set(labels))):
        hint = renaming(source, step, name, labels) or meant_language(name, returned)
        raise ValueError(f"{source}: the language model {path} has no label {name!r}{hint}")


def _check_reference(source: str, path: ModelPath) -> None:
    """Checks that a model is a classifier of references. Another fastText model could have the file name of one."""
    assert isinstance(path, str | StoredFile)
    labels = labels_of(local_path(path))
    if REFERENCE_LABEL.removeprefix(LABEL) not in labels:
        raise ValueError(
            f"{source}: the reference classifier {path} has no label {REFERENCE_LABEL}; it has "
            f"{', '.join(labels[:5])}; python -m pipeline.models train-reference trains one"
        )


def without_missing_models(
    source: Source, found: Mapping[str, ModelPath], models_dir: str | None
) -> tuple[Source, tuple[str, ...]]:
    """Returns a source without the steps whose models are missing, and the names of the steps that were left out."""
    languages = [step for step in source.steps if isinstance(step, Language)]
    missing = []
    for step in source.steps:
        try:
            require_models(found, source.name, [*languages, step], models_dir)
        except MissingModels:
            missing.append(step.NAME)
    steps = tuple(step for step in source.steps if step.NAME not in missing)
    return replace(source, steps=steps), tuple(missing)


def _files_in(models_dir: str | None) -> Mapping[str, str | StoredFile]:
    """Lists a folder of models, on this machine or in a store. Returns a mapping from file name to path."""
    if models_dir is None:
        return {}
    if is_stored(models_dir):
        return list_stored(models_dir)
    folder = Path(models_dir)
    if not folder.is_dir():
        raise ValueError(f"--models {models_dir}: there is no such folder")
    found = (*folder.iterdir(), *folder.glob("badwords/*"), *folder.glob("urls/*/*"))
    return {p.relative_to(folder).as_posix(): str(p) for p in found if p.is_file()}


def _first(files: Mapping[str, str | StoredFile], *names: str) -> str | StoredFile | None:
    return next((files[name] for name in names if name in files), None)


def _of_categories(files: ModelPath, categories: Iterable[str]) -> tuple[ModelFiles, list[str]]:
    """Returns the files of the URL categories that a step uses, and the names of the categories that have no file."""
    assert isinstance(files, ModelFiles)
    wanted = set(categories)
    kept = tuple((name, path) for name, path in files.paths if name.split("/")[1] in wanted)
    return ModelFiles(kept), sorted(wanted - {name.split("/")[1] for name, _ in kept})


def _is_of_perplexity(name: str) -> bool:
    return name == "cutoff.csv" or name.endswith((".arpa.bin", ".arpa", ".sp.model"))


def _needs_no_score(step: object) -> bool:
    return isinstance(step, Perplexity) and "all" in step.keep


def _of_languages(files: ModelFiles, source: str, languages: tuple[str, ...], *, is_all: bool) -> ModelFiles:
    """Returns the files of the perplexity models for the languages that a source keeps.

    A missing file is an error. But if the step keeps all pages (``is_all``), they need no score, and only a missing
    ``cutoff.csv`` is an error.
    """
    wanted = languages or tuple(languages_of(files))
    names = {name for name, _ in files.paths}
    missing: list[str] = []
    keep = {"cutoff.csv"}
    for language in wanted:
        lm = next((n for n in (f"{language}.arpa.bin", f"{language}.arpa") if n in names), None)
        keep |= {n for n in (lm, f"{language}.sp.model") if n}
        missing += [] if lm else [f"{language}.arpa.bin"]
        missing += [] if f"{language}.sp.model" in names else [f"{language}.sp.model"]
    table = files.get("cutoff.csv")
    if table is None:
        missing.append("cutoff.csv")
    elif not is_all:
        _check_cutoffs(table, wanted)
    if missing and not (is_all and table):
        folder = os.path.dirname(str(files.paths[0][1]))
        get = how_to_get("perplexity", wanted, folder)
        if missing == ["cutoff.csv"]:  # the models were trained, not fetched
            flags = f"--models {folder} --language {wanted[0]} --input GLOB"
            get = f"compute it with `python -m pipeline.models cutoffs {flags}`, or {get}"
        raise MissingModels([f"{source}: {' and '.join(missing)} not found in {folder}; {get}"])
    return ModelFiles(tuple((name, path) for name, path in files.paths if name in keep))


def _check_cutoffs(table: str, languages: Iterable[str]) -> None:
    try:
        cutoffs = read_cutoffs(Path(table).read_text("utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{table}: {error}; {get_again(table)}") from error
    lacking = [language for language in languages if language not in cutoffs]
    if lacking:
        missing = (
            f"{table} has no column for {', '.join(lacking)}; compute it from a corpus of that language with "
            f"`python -m pipeline.models cutoffs --models {os.path.dirname(table) or '.'} --language {lacking[0]} "
            "--input GLOB`"
        )
        raise MissingModels([missing])


def _missing(source: str, key: str, languages: tuple[str, ...], models_dir: str | None) -> str:
    names = {
        "language": "lid.176.bin, lid.176.ftz or language.bin",
        "perplexity": " and ".join(f"{lang}.arpa.bin, {lang}.sp.model" for lang in languages or ("en",))
        + ", cutoff.csv",
        "reference": "reference.bin or reference.ftz",
        "url_lists": "urls/CATEGORY/domains, urls/CATEGORY/urls",
    }.get(key, key)
    where = f"not found in {models_dir}" if models_dir else "missing, and no folder was named with --models DIR"
    return (
        f"{source}: the model for step {key!r} ({names}) is {where}; {how_to_get(key, languages, models_dir or 'DIR')}"
    )
