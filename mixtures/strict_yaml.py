"""Reads YAML strictly. Rejects duplicate keys, aliases and huge numbers, which could lose settings or hang a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

MAX_BYTES = 1 << 20
"""The largest size of a file (our choice). A configuration file has a few hundred lines."""
MAX_DEPTH = 32
"""The largest depth of nesting (our choice). The deepest setting that exists is on level six."""
MAX_DIGITS = 30
"""The largest number of digits before or after the decimal point (our choice). For example, 1.4e12 has 13."""
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?")
_BASE_60 = re.compile(r"[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def parse_yaml(text: str, where: str) -> Any:
    """Parses a YAML text. Returns its value, usually a dictionary.

    Args:
        text: the contents of the file.
        where: the file's name, for messages.

    Raises:
        ValueError: the text is not YAML or is too long; or it contains a duplicate key, an alias, a number that is too
            large, or values that are nested too deeply. The message is one line with the number of the line and the
            key.

    >>> parse_yaml("inputs: {books: a, books: b}", "run.yaml")
    Traceback (most recent call last):
    ...
    ValueError: run.yaml, line 1: the key inputs.books is there twice, first in line 1; keep one of them
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"{where}: {len(text):,} characters; a configuration file has at most {MAX_BYTES:,}")
    try:
        _check_events(text, where)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return None
        for fault in _faults(node, ""):
            raise ValueError(f"{where}, {fault}")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: not YAML: {_short(' '.join(str(error).split()))}") from error


def line_of(text: str, where: str) -> int | None:
    r"""Returns the line of a setting in a YAML text. Returns None if the text does not have the setting.

    Args:
        text: YAML that :func:`parse_yaml` accepts.
        where: the keys that lead to the setting, joined with dots; an item of a list is ``[0]``.

    >>> line_of("name: x\nsets:\n- {name: a}\n- name: b\n", "sets[1].name")
    4
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return _line_below(node, where.replace("[", ".").replace("]", "").split(".")) if node is not None else None


def _line_below(node: yaml.Node, keys: list[str]) -> int | None:
    """Returns the line of the setting to which ``keys`` lead from a node. A key of the file may itself contain dots."""
    if isinstance(node, yaml.SequenceNode) and keys[0].isdigit() and int(keys[0]) < len(node.value):
        item = node.value[int(keys[0])]
        return _line_below(item, keys[1:]) if keys[1:] else _line(item)
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        for number in range(1, len(keys) + 1):
            if key.value == ".".join(keys[:number]):
                found = _line_below(value, keys[number:]) if keys[number:] else _line(key)
                if found is not None:
                    return found
    return None


def _check_events(text: str, where: str) -> None:
    """Raises ValueError if the text contains an alias or is nested too deeply.

    This check comes before values are built, because PyYAML builds them recursively and could exhaust the stack.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = f"{where}, line {_line(event)}"
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{line}: *{event.anchor} is an alias, which is not read; write the value itself")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"{line}: nested more than {MAX_DEPTH} levels deep; a bracket is not closed, or an"
                                 " indentation is wrong")  # fmt: skip
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _faults(node: yaml.Node, path: str) -> Iterator[str]:
    if isinstance(node, yaml.ScalarNode):
        if fault := _scalar_fault(node):
            yield f"line {_line(node)}: {path or 'the value'}: {fault}"
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _faults(item, f"{path}[{number}]")
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            at = _line(key)
            if not isinstance(key, yaml.ScalarNode):
                yield f"line {at}: a key of {path or 'the file'} is not a word"
                continue
            name = f"{path}.{_short(key.value)}".lstrip(".")
            if key.value in seen:
                yield f"line {at}: the key {name} is there twice, first in line {seen[key.value]}; keep one of them"
            seen[key.value] = at
            yield from _faults(value, name)


def _line(node: Any) -> int:
    return node.start_mark.line + 1 if node.start_mark is not None else 0


def _scalar_fault(node: yaml.ScalarNode) -> str:
    """Returns a message if a value is a wrong number. Returns "" for a right number, and for a value that is not a
    number.

    A number is wrong if it is not finite, if YAML would read it in base 60 or 8, or if it is too large or too small.
    The size of numbers in quotes is checked too, because weights may be quoted.
    """
    text = node.value.strip()
    if node.style is None and _NOT_FINITE.fullmatch(text):
        return f"{text} is not a number that a setting can have"
    if node.style is None and _BASE_60.fullmatch(text):
        return f"{_short(text)} would be read as a number to the base 60; put it in quotes"
    if node.style is None and _OCTAL.fullmatch(text):
        return f"{_short(text)} would be read as an octal number; leave out the zeros before it, or put it in quotes"
    if not _NUMBER.fullmatch(text):
        return ""
    try:
        number = Decimal(text.replace("_", ""))
    except InvalidOperation:
        return f"{_short(text)} is not a number that can be read"
    if len(text) > 4 * MAX_DIGITS or (number and not -MAX_DIGITS <= number.adjusted() <= MAX_DIGITS):
        return (
            f"{_short(text)} is too large or too small a number; at most {MAX_DIGITS} digits before or after the point"
        )
    return ""


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
