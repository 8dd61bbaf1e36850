"""Finds the tokenizer that made shards, and loads it to decode their ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mixtures.manifest import NAME, read_manifest, tokenizer_name
from tokenizer.codec import FILE_NAMES, RANKS
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import EncoderSettings


def find_tokenizer(shard: Path) -> Path:
    """Returns the path of the tokenizer's file. The file is in the shard's folder or in the folder above it.

    If a folder has both ``tokenizer.model`` and ``tokenizer.json``, returns the path of ``tokenizer.model``.
    ``tokenizer.json`` is then a conversion of that file.

    Raises:
        ValueError: neither folder has a tokenizer.
    """
    for folder in (shard.parent, shard.parent.parent):
        for name in FILE_NAMES:
            if (folder / name).is_file():
                return folder / name
    raise ValueError(f"there is no {FILE_NAMES[0]} beside {shard}: name it with --tokenizer")


def load_decoder(path: str | Path) -> Encoder:
    """Loads a tokenizer's file to decode documents.

    A rank file (tiktoken's format) does not contain the control tokens, such as eos. If the file is in an output
    folder, the control tokens are read from that folder's manifest.

    Raises:
        ValueError: the file is missing or is not a tokenizer, or the manifest cannot be read.
    """
    folder, name = Path(path).parent, Path(path).name
    settings = EncoderSettings()
    if name == RANKS and (folder / NAME).is_file():
        manifest = read_manifest(folder)
        if tokenizer_name(manifest) == name:
            settings = EncoderSettings.of(manifest["tokenizer"].get("settings"))
    return Encoder.load(path, settings=replace(settings, bos=False, eos=False, fast="off"))
