"""Opens models from their files, once per process."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filters.ccnet.perplexity import Cutoffs, PerplexityModel, read_cutoffs
from filters.exclude import parse_exclusions
from filters.language.detect import LanguageModel
from filters.reference import ReferenceModel
from filters.step import Step
from filters.url_lists import UrlEntries
from mixtures.decontaminate.table import open_table
from pipeline.models.compiled_scorer import compiled_scorer
from pipeline.models.fasttext_file import read_pruned_model
from pipeline.models.matching import check_pieces
from pipeline.models.model_files import check_model_file
from pipeline.models.stored_files import StoredFile, is_stored, local_path
from tokenizer.codec import MODEL
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import EncoderSettings


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Holds the paths of a model that consists of several files. ``paths`` has pairs: the name of a file in the folder
    of models, and the path of the file.
    """

    paths: tuple[tuple[str, str | StoredFile], ...]

    def __str__(self) -> str:
        return " ".join(name for name, _ in self.paths)

    def get(self, name: str) -> str | None:
        """Returns the path at which this machine can open a file of the model. Returns None if the model has no such
        file.

        If the file is in a store (``gs://``, ``s3://``), it is first copied to this machine, unless a copy exists.
        """
        path = dict(self.paths).get(name)
        return None if path is None else local_path(path)


@dataclass(frozen=True, slots=True)
class RankFile:
    """Holds the path of a tokenizer's rank file and some settings. A rank file has only the vocabulary. The settings
    have what the file lacks, such as the pattern that splits texts before they are encoded.
    """

    path: str
    settings: EncoderSettings

    def __str__(self) -> str:
        return self.path


ModelPath = str | StoredFile | ModelFiles | RankFile

_loaded: dict[tuple[str, ModelPath, bool], tuple[Any, Any]] = {}
"""Maps (key, path, whether the form is compiled) to a pair: the sizes and times of the model's files when they were
read, and the opened model."""
_loading = threading.RLock()


def load(key: str, path: ModelPath, *, is_compiled: bool = False) -> Any:
    """Returns the opened model at a path. ``key`` is the kind of the model, for example ``language``. If
    ``is_compiled``, returns the compiled form of the model, which only the kinds in :data:`COMPILED` have.

    A model is opened only once per process, and all steps and threads share it. If the file is replaced, it is opened
    again.

    KenLM's binary models are mapped into memory, so all processes of a machine share them. fastText's models cannot be
    mapped.

    Raises:
        ValueError: the file is damaged, or is not a model of this kind. The message names the file and says what to do.
    """
    with _loading:
        stamp = _stamp(path)
        name = key, path, is_compiled
        if name not in _loaded or _loaded[name][0] != stamp:
            on_disk = path if isinstance(path, ModelFiles | RankFile) or key == "exclude" else local_path(path)
            _loaded[name] = stamp, _COMPILED[key](load(key, path)) if is_compiled else _LOADERS[key](on_disk)
        return _loaded[name][1]


def _stamp(path: ModelPath | str | StoredFile) -> Any:
    """Returns the sizes and the modification times of a model's files. If they change while the process runs, a file
    was replaced.
    """
    if isinstance(path, ModelFiles):
        return tuple(_stamp(one) for _, one in path.paths)
    if isinstance(path, RankFile):
        return _stamp(path.path)
    if not isinstance(path, str) or not os.path.isfile(path):
        return None
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def _load_language(path: ModelPath) -> LanguageModel:
    model = _load_fasttext(str(path))
    try:
        return LanguageModel(model, read_pruned_model(str(path), model))
    except (ValueError, struct.error) as error:
        raise ValueError(f"{path}: not a fastText model, or a broken one ({error}); {get_again(str(path))}") from error


def _load_reference(path: ModelPath) -> ReferenceModel:
    model = _load_fasttext(str(path))
    try:
        return ReferenceModel(model)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _load_fasttext(path: str) -> Any:
    import fasttext

    check_file(path)
    try:
        return fasttext.load_model(path)
    except (ValueError, RuntimeError, MemoryError, IndexError) as error:
        raise ValueError(f"{path}: not a fastText model, or a broken one ({error}); {get_again(path)}") from error


def _load_perplexity(files: ModelPath) -> dict[str, PerplexityModel]:
    assert isinstance(files, ModelFiles)
    table = files.get("cutoff.csv")
    assert table, "require_models lets none through without"
    try:
        cutoffs = read_cutoffs(Path(table).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{table}: {error}; {get_again(table)}") from error
    models = {}
    for language in languages_of(files):
        lm_path = files.get(f"{language}.arpa.bin") or files.get(f"{language}.arpa")
        pieces_path = files.get(f"{language}.sp.model")
        if lm_path and pieces_path and language in cutoffs:
            pieces, lm = _load_pieces(pieces_path), _load_kenlm(lm_path)
            models[language] = PerplexityModel(pieces, lm, cutoffs[language])
    return models


def cutoffs_of(files: ModelFiles) -> dict[str, list[float]]:
    """Returns two cut-offs of perplexity for each language that has a KenLM model and a column in ``cutoff.csv``.

    The cut-offs divide documents into three buckets. If the perplexity of a document is below the first cut-off, the
    document is in ``head``. Otherwise, if it is below the second cut-off, the document is in ``middle``. All other
    documents are in ``tail``.

    Raises:
        ValueError: the table of cut-offs is damaged.
    """
    table = files.get("cutoff.csv")
    cutoffs = read_cutoffs(Path(table).read_text("utf-8")) if table else {}
    return {name: [cutoffs[name].head, cutoffs[name].tail] for name in languages_of(files) if name in cutoffs}


def load_scorer(folder: str, language: str) -> PerplexityModel:
    """Returns the perplexity model of a language, without its cut-offs. It is used to compute the cut-offs.

    Raises:
        ValueError: a file is missing or damaged.
    """
    names = (f"{language}.arpa.bin", f"{language}.arpa")
    lm_path = next((path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)), None)
    lm_path, pieces_path = lm_path or os.path.join(folder, names[0]), os.path.join(folder, f"{language}.sp.model")
    pieces, lm = _load_pieces(pieces_path), _load_kenlm(lm_path)
    check_pieces(pieces_path, lm_path)
    return PerplexityModel(pieces, lm, Cutoffs(0.0, 0.0))


def _load_kenlm(path: str) -> Any:
    import kenlm

    check_file(path)
    config = kenlm.Config()
    config.load_method = kenlm.LoadMethod.LAZY  # POPULATE would read gigabytes before the first document
    config.show_progress = False
    try:
        return kenlm.Model(path, config)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path}: not a KenLM model, or a broken one ({error}); {get_again(path)}") from error


def _load_pieces(path: str) -> Any:
    import sentencepiece

    check_file(path)
    try:
        return sentencepiece.SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path}: not a SentencePiece model, or a broken one ({error}); {get_again(path)}") from error


def _load_tokenizer(path: ModelPath) -> Any:
    """Loads a tokenizer of any kind. The result has a method ``encode``; callers use nothing else.

    A ``.model`` file is loaded with the package SentencePiece. Any other file is loaded with this project's own
    encoder.
    """
    if isinstance(path, RankFile):
        return Encoder.load(local_path(path.path), settings=replace(path.settings, bos=False, eos=False))
    check_file(str(path))
    found = Encoder.load(str(path), bos=False, eos=False)
    return _load_pieces(str(path)) if found.file_name == MODEL else found


def _load_bad_words(path: ModelPath) -> tuple[str, ...]:
    lines = Path(str(path)).read_text("utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _load_exclusions(path: ModelPath) -> frozenset[str]:
    from pipeline.files.files import read_bytes

    return parse_exclusions(read_bytes(str(path)).decode("utf-8-sig").splitlines())


def _load_url_lists(files: ModelPath) -> dict[str, UrlEntries]:
    assert isinstance(files, ModelFiles)
    lines: dict[str, dict[str, list[str]]] = {}
    for name, _ in files.paths:
        _, category, kind = name.split("/")
        path = files.get(name)
        assert path is not None
        lines.setdefault(category, {})[kind] = Path(path).read_text("utf-8", "replace").splitlines()
    return {name: UrlEntries.of(one.get("domains", []), one.get("urls", [])) for name, one in lines.items()}


_LOADERS: dict[str, Callable[[ModelPath], Any]] = {
    "language": _load_language,
    "perplexity": _load_perplexity,
    "reference": _load_reference,
    "bad_words": _load_bad_words,
    "decontamination": lambda path: open_table(str(path)),
    "exclude": _load_exclusions,
    "url_lists": _load_url_lists,
    "tokenizer": _load_tokenizer,
}


def languages_of(files: ModelFiles) -> list[str]:
    """Returns the languages that have a KenLM model."""
    names = (name for name, _ in files.paths)
    return sorted({name.split(".")[0] for name in names if name.endswith((".arpa.bin", ".arpa"))})


_KINDS = (((".sp.model", "tokenizer.model"), "SentencePiece"), ((".arpa", ".arpa.bin"), "KenLM"))


def check_file(path: str) -> None:
    """Checks that the file of a model exists and is complete.

    Raises:
        ValueError: the file does not exist or is damaged. The message names the file and the command that gets it.
    """
    if not os.path.isfile(path):
        raise ValueError(f"{path}: no such file; {get_again(path)}")
    if os.path.getsize(path) == 0:
        raise ValueError(f"{path}: an empty file; {get_again(path)}")
    try:
        check_model_file(path)
    except ValueError as error:
        kind = next((name for endings, name in _KINDS if path.endswith(endings)), "fastText")
        raise ValueError(f"{path}: not a {kind} model, or a broken one ({error}); {get_again(path)}") from error


def check_pairs(files: ModelFiles) -> None:
    """Checks that the SentencePiece model and the KenLM model of each language were trained together. Files in a store
    are not checked.

    Raises:
        ValueError: the two models do not fit together. The message names both files.
    """
    paths = dict(files.paths)
    for language in languages_of(files):
        lm = paths.get(f"{language}.arpa.bin") or paths.get(f"{language}.arpa")
        pieces = paths.get(f"{language}.sp.model")
        if isinstance(lm, str) and isinstance(pieces, str) and not is_stored(lm):
            check_pieces(pieces, lm)


def get_again(path: str) -> str:
    """Returns a sentence that says how to replace a damaged file, in most cases with a command.

    >>> get_again("models/cutoff.csv")
    'get it with `python -m pipeline.models fetch --models models lm`, or compute it with `... cutoffs`'
    """
    folder, name = os.path.split(path)
    folder = folder or "."
    if name == "cutoff.csv":
        return f"get it with `python -m pipeline.models fetch --models {folder} lm`, or compute it with `... cutoffs`"
    if name.startswith("language."):
        return "copy it again from where you have it, or delete it to use the language model that ships"
    key = "reference" if name.startswith("reference.") else "language" if name.startswith("lid.") else "perplexity"
    return how_to_get(key, (name.split(".")[0],), folder)


def how_to_get(key: str, languages: tuple[str, ...], folder: str = "DIR") -> str:
    """Returns a sentence that says how to get a model, in most cases with a command."""
    if key == "reference":
        return "train one with `python -m pipeline.models train-reference`, nobody publishes LLaMA's"
    if key.startswith("url_lists"):
        return f"unpack a blocklist of UT1 into {folder}/urls, a folder per category; no list ships"
    lm = f"lm --languages {','.join(languages) or 'LANGUAGES'}"
    wanted = {"language": "lid", "bad_words": "bad-words"}.get(key, lm)
    if wanted != lm:
        return f"get it with `python -m pipeline.models fetch --models {folder} {wanted}`"
    each = "for each language, " if len(languages) > 1 else ""
    flags = f"--models {folder} --language {languages[0] if languages else 'LANGUAGE'} --input GLOB"
    own = f"{each}with `python -m pipeline.models train-lm {flags}` and then `... cutoffs`"
    return f"get it with `python -m pipeline.models fetch --models {folder} {lm}`, or train your own {own}"


_COMPILED: dict[str, Callable[[Any], Any]] = {
    "language": lambda model: model.compiled,
    "perplexity": lambda models: {name: compiled_scorer(model) for name, model in models.items()},
}
COMPILED = frozenset(_COMPILED)
"""The keys of the models that also have a compiled form. The compiled form gives the same results faster. It needs the
compiler that :mod:`filters.compiled` uses."""


def loaded_models(steps: Iterable[Step], paths: Mapping[str, Any], *, is_compiled: bool = False) -> dict[str, Any]:
    """Returns the models that the steps need, as a mapping from key to model. A model is opened once per process.

    If ``is_compiled``, the models with keys in :data:`COMPILED` are returned in their compiled form.
    """
    needed = {key for step in steps for key in step.MODELS if key in paths}
    return {key: load(key, paths[key], is_compiled=is_compiled and key in _COMPILED) for key in sorted(needed)}
