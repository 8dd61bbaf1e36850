"""Encodes with Hugging Face's ``tokenizer.json`` files. Uses the library ``tokenizers``, or gigatoken if it gives the
same ids.

Control tokens are the tokens that the file marks as special, except the token for unknown characters. A text that
spells a control token is encoded as ordinary text. Added tokens that are not marked as special (Qwen's ``<tool_call>``,
GPT-NeoX's runs of spaces) belong to the vocabulary. These tokens are encoded as the library encodes them. The file's
truncation, padding and template around texts are not used, because bos and eos are settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import pyarrow as pa

from tokenizer.accelerator import Gigatoken, is_panic
from tokenizer.codec import JSON, Array, flat, id_dtype

_PARTS = {"normalizer": "normaliser", "pre_tokenizer": "pre-tokeniser", "post_processor": "post-processor",
          "decoder": "decoder"}  # fmt: skip
_LISTS = ("normalizers", "pretokenizers", "processors", "decoders")
_MAX_CHARS = 1 << 20
"""Batches are encoded in pieces of about this many characters, because the library needs about 100 bytes per token."""


class HuggingFaceCodec:
    """Encodes and decodes with a ``tokenizer.json`` file."""

    file_name = JSON

    def __init__(self, data: bytes, *, is_fast: bool) -> None:
        """Loads the bytes of a file. Raises ValueError if it cannot be loaded; the message names the part at fault."""
        self.library = f"tokenizers {metadata.version('tokenizers')}"
        try:
            content = json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the tokenizer is not JSON ({error})") from error
        model = content.get("model") if isinstance(content, Mapping) else None
        if not isinstance(model, Mapping):
            raise ValueError("the tokenizer is JSON, but not a tokenizer.json: it has no model")
        if model.get("dropout"):
            raise ValueError(
                f"the tokenizer drops merges at random (model.dropout is {model['dropout']}): equal texts would get "
                "unequal ids; set it to null"
            )
        self._reference = _loaded(content, data)
        self._reference.no_truncation()
        self._reference.no_padding()
        self._reference.encode_special_tokens = True
        added = self._reference.get_added_tokens_decoder()
        unknown = (model.get("unk_token"), model.get("unk_id"))  # the token for unknown characters
        self.control: Mapping[str, int] = {
            t.content: n for n, t in added.items() if t.special and t.content not in unknown and n not in unknown
        }
        self._control_ids = frozenset(self.control.values())
        numbers = [*self._reference.get_vocab(with_added_tokens=True).values(), *added]
        if not numbers:
            raise ValueError("the tokenizer has an empty vocabulary")
        self.vocab_size = max(numbers) + 1
        self._dtype = id_dtype(self.vocab_size)
        self._fast = Gigatoken.of_json(_without_control(content)) if is_fast else None

    @property
    def accelerator(self) -> str:
        """The name and version of gigatoken. Empty if the library ``tokenizers`` itself encodes."""
        return self._fast.name if self._fast is not None else ""

    def border(self, kind: str) -> int | None:
        """Returns the id of the special token whose name is a usual name of a bos (or eos). Returns None unless there
        is exactly one such token.

        The file itself does not say which token is bos or eos.
        """
        found = [number for text, number in self.control.items() if text.lower() in _BORDERS[kind]]
        return found[0] if len(found) == 1 else None

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all texts, concatenated, and the number of ids of each text."""
        if self._fast is not None:
            ids, counts = self._fast.encode(texts)
            return ids.astype(self._dtype), counts
        return flat(self.reference(texts.to_pylist()), self._dtype)

    def reference(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text as the library ``tokenizers`` computes them."""
        found: list[list[int]] = []
        held: list[str] = []
        held_chars = 0
        for text in texts:
            held.append(text)
            held_chars += len(text)
            if held_chars >= _MAX_CHARS:
                found += self._encoded(held)
                held, held_chars = [], 0
        return found + self._encoded(held)

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        return [one.ids for one in self._reference.encode_batch_fast(texts, add_special_tokens=False)]

    def piece_bytes(self) -> pa.BinaryArray | None:
        """Returns None, because the decoder in a ``tokenizer.json`` may change texts in any way."""
        return None

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, without control tokens."""
        return str(self._reference.decode(self._without_control_ids(ids), skip_special_tokens=False))

    def decode_batch(self, lists: Sequence[Array]) -> list[str]:
        """Returns the text of every list of ids. The result is the same as if :meth:`decode` were called for each
        list.
        """
        kept = list(map(self._without_control_ids, lists))
        return [str(text) for text in self._reference.decode_batch(kept, skip_special_tokens=False)]

    def _without_control_ids(self, ids: Sequence[int] | Array) -> list[int]:
        return [int(i) for i in ids if int(i) not in self._control_ids]


_BORDERS = {
    "bos": frozenset({"<s>", "<bos>", "[bos]", "<|bos|>", "<|begin_of_text|>", "<|startoftext|>",
                      "<|begin▁of▁sentence|>", "<｜begin▁of▁sentence｜>"}),
    "eos": frozenset({"</s>", "<eos>", "[eos]", "<|eos|>", "<|end_of_text|>", "<|endoftext|>",
                      "<|end▁of▁sentence|>", "<｜end▁of▁sentence｜>"}),
}  # fmt: skip
"""The names of bos and eos in published tokenizers: LLaMA 1 to 3, Gemma, GPT-2 and GPT-NeoX, Qwen, DeepSeek."""


def _library() -> Any:
    """Imports the library ``tokenizers``. The import is inside a function, because only this kind of file needs it."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a worker has one core; threads do not survive a fork
    import tokenizers

    return tokenizers


def _loaded(content: Mapping[str, Any], data: bytes) -> Any:
    try:
        return _library().Tokenizer.from_str(data.decode("utf-8"))
    except BaseException as error:  # the library raises Exception itself, no subclass
        if type(error) is not Exception and not is_panic(error):
            raise
        raise ValueError(f"{_fault(content)} (tokenizers {metadata.version('tokenizers')}: {error})") from error


def _fault(content: Mapping[str, Any]) -> str:
    """Returns a message that names the part of the file that the library cannot read. To find this part, loads each
    part alone.
    """
    for key, name in _PARTS.items():
        for part in _leaves(content.get(key)):
            if not _is_taken({key: part}):
                kind = part.get("type") if isinstance(part, Mapping) else part
                return f"the tokenizer's {name} {kind} is not supported"
    kind = content["model"].get("type")
    return f"the tokenizer's model{f' {kind}' if isinstance(kind, str) else ''} cannot be read"


def _leaves(part: Any) -> list[Any]:
    """Returns a component of the file (such as its normaliser) as a list of single parts.

    A component of type ``Sequence`` has several parts. Any other component is one part. If the file does not have the
    component, the list is empty.
    """
    if isinstance(part, Mapping) and part.get("type") == "Sequence":
        lists = (part[name] for name in _LISTS if isinstance(part.get(name), list))
        inside: list[Any] = next(lists, [])
        return [leaf for one in inside for leaf in _leaves(one)]
    return [] if part is None else [part]


def _is_taken(parts: Mapping[str, Any]) -> bool:
    empty = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {}, "merges": []}}
    try:
        _library().Tokenizer.from_str(json.dumps({**empty, **parts}))
    except Exception as error:  # the library raises Exception itself, no subclass
        if type(error) is not Exception:
            raise
        return False
    return True


def _without_control(content: Mapping[str, Any]) -> str:
    """Returns the file's text without its special tokens. With them, gigatoken would find special tokens in texts."""
    added = [token for token in content.get("added_tokens") or () if not token.get("special")]
    return json.dumps({**content, "added_tokens": added, "post_processor": None, "truncation": None, "padding": None})
