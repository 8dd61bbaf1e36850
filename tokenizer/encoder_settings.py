"""Reads the settings of encoding: bos and eos around documents, and the pattern and control tokens of a rank file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

Mark = bool | str | None
"""Says whether documents get a bos (or eos). The value is True, False, or the text of the token. None means: for a bos,
that documents get one only if the tokenizer defines one; for an eos, the same as True."""
Fast = Literal["auto", "own", "off"]
"""Says which encoder may replace the reference library: any (``auto``), only this project's own (``own``), or none
(``off``). The ids are the same."""
KEYS = ("path", "bos", "eos", "fast", "pattern", "special_tokens")
"""The keys of the section ``tokenizer`` that are about encoding. All other keys are about training."""

_LETTERS_AND_3_DIGITS = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
PATTERNS: dict[str, str] = {
    "r50k_base": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k_base": _LETTERS_AND_3_DIGITS,
    "o200k_base": "|".join(
        [
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    ),
}
"""The regular expressions that split a text before its bytes are merged, from ``tiktoken_ext/openai_public.py``
(0.14.0). gpt2, p50k_base and p50k_edit use the pattern of r50k_base."""
_SAME_PATTERN = {"gpt2": "r50k_base", "p50k_base": "r50k_base", "p50k_edit": "r50k_base", "o200k_harmony": "o200k_base"}
DEFAULT_PATTERN = "cl100k_base"
_FIM = {"<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260}
_SPECIAL_TOKENS: dict[str, dict[str, int]] = {
    "gpt2": {"<|endoftext|>": 50256},
    "r50k_base": {"<|endoftext|>": 50256},
    "p50k_base": {"<|endoftext|>": 50256},
    "cl100k_base": {"<|endoftext|>": 100257, **_FIM, "<|endofprompt|>": 100276},
    "o200k_base": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """Says how text is encoded with a tokenizer's file."""

    bos: Mark = None
    eos: Mark = None
    fast: Fast = "auto"
    pattern: str | None = None
    """For a rank file: the regular expression that splits texts, or the name of one of :data:`PATTERNS`."""
    special_tokens: tuple[tuple[str, int], ...] | None = None
    """For a rank file: the control tokens and their ids."""

    def __post_init__(self) -> None:
        for name in ("bos", "eos"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, bool) or (isinstance(value, str) and value)):
                raise ValueError(f"tokenizer.{name} is {value!r}: it must be true, false, or the text of a token")
        if self.fast not in get_args(Fast):
            raise ValueError(f"tokenizer.fast is {self.fast!r}: it must be auto, own or off")
        if not (self.pattern is None or (isinstance(self.pattern, str) and self.pattern)):
            raise ValueError(
                f"tokenizer.pattern is {self.pattern!r}: it must be a regular expression, or {', '.join(PATTERNS)}"
            )

    @classmethod
    def of(cls, said: Any) -> EncoderSettings:
        """Reads settings from the section ``tokenizer`` of a configuration file. Keys about training are ignored.

        Raises:
            ValueError: a value has the wrong type, or documents would get neither bos nor eos.

        >>> EncoderSettings.of({"path": "t.json", "bos": False}).bos
        False
        """
        if not isinstance(said, Mapping):
            return cls()
        own = {key: said[key] for key in KEYS if key in said and key != "path"}
        if own.get("fast") in (True, False):  # YAML reads a bare `off` as false
            own["fast"] = "auto" if own["fast"] else "off"
        if own.get("special_tokens") is not None:
            own["special_tokens"] = _token_ids(own["special_tokens"])
        made = cls(**own)
        if made.bos is False and made.eos is False:
            raise ValueError("tokenizer: bos and eos are both false, so nothing would end a document: leave one on")
        return made

    def for_file(self, path: str) -> EncoderSettings:
        """Returns the settings for a tokenizer's file. If tiktoken publishes a rank file of this name, its pattern and
        its control tokens are filled in.

        Settings that already have a value are kept.

        >>> EncoderSettings().for_file("x/o200k_base.tiktoken").special_tokens
        (('<|endoftext|>', 199999), ('<|endofprompt|>', 200018))
        """
        name = PurePosixPath(path).name.removesuffix(".tiktoken")
        pattern = name if name in PATTERNS else _SAME_PATTERN.get(name)
        special = tuple(_SPECIAL_TOKENS[name].items()) if name in _SPECIAL_TOKENS else None
        return EncoderSettings(
            bos=self.bos,
            eos=self.eos,
            fast=self.fast,
            pattern=self.pattern or pattern,
            special_tokens=special if self.special_tokens is None else self.special_tokens,
        )

    def regex(self) -> str:
        """Returns the regular expression that splits texts (for rank files). The default is that of cl100k_base."""
        name = self.pattern or DEFAULT_PATTERN
        return PATTERNS.get(_SAME_PATTERN.get(name, name), name)

    def said(self) -> dict[str, Any]:
        """Returns the settings that differ from their defaults, as a dict that :meth:`of` can read.

        ``fast`` is left out, because it does not affect the ids.

        >>> EncoderSettings(bos=False, special_tokens=(("<eot>", 300),)).said()
        {'bos': False, 'special_tokens': {'<eot>': 300}}
        """
        found: dict[str, Any] = {name: getattr(self, name) for name in ("bos", "eos", "pattern")}
        if self.special_tokens is not None:
            found["special_tokens"] = dict(self.special_tokens)
        return {name: value for name, value in found.items() if value is not None}


def _token_ids(said: Any) -> tuple[tuple[str, int], ...]:
    right = isinstance(said, Mapping) and all(
        isinstance(text, str) and text and type(number) is int and number >= 0 for text, number in said.items()
    )
    if not right:
        raise ValueError(f"tokenizer.special_tokens is {said!r}: it must map the text of each token to its id")
    return tuple(said.items())
