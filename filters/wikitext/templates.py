"""Templates and tables: those that carry words give them, all others go, however deep they stand in one another."""

from __future__ import annotations

import re
from dataclasses import dataclass

from filters.wikitext.links import resolve_links
from filters.wikitext.protected_text import EQUALS, PIPE
from filters.wikitext.template_rules import RULES, TemplateCall
from filters.wikitext.wiki_names import Rendering, WikiNames

MAX_DEPTH = 40
"""Templates that carry words are read this deep in one another (MediaWiki's own $wgMaxTemplateDepth was 40 until 1.34);
deeper ones go."""
_MAX_ARGUMENTS = 2000
_MAX_INDENT_CHARS = 16
_TOKEN = re.compile(r"\{[{|]|\}\}|\|\}(?!\}(?!\}))")
_NAME = re.compile(r"\s*+([^|{}\[\]<>\n\x02-\x05]*+)")
_NO_ARGUMENT_NAME = re.compile(r"[\[\]{}<>\n\"']")
_MAX_ARGUMENT_NAME_CHARS = 60
_FRENCH_ORDINAL = re.compile(r"[0-9]{1,4}(?:er|re|e|ème|nd|nde|d|de)")
_FRENCH_CENTURY = re.compile(r"([ivx]{1,6})(e siècle(?: av\. j\.-c\.)?)")
_UNCLOSED_TABLE = re.compile(r"\n[ \t]*\n(?![ \t]*[|!{])|\n=")
_LINE_REST = re.compile(r"[^\n]*")
_PREFIXES = ("template:", "subst:", "safesubst:", "msg:")


@dataclass(slots=True)
class _Span:
    """One template or table, from its first brace to behind its last; ``after`` is the first span behind it."""

    start: int
    end: int
    is_table: bool
    after: int = 0


def _spans(text: str) -> list[_Span]:
    """All templates and tables in the order in which they open.

    A closing mark closes the nearest open one of its kind and gives up those opened since. What is never closed
    is not here, but for a table: that ends before the next paragraph or heading.
    """
    found: list[_Span] = []
    stack: list[int] = []
    num_open = {True: 0, False: 0}
    for match in _TOKEN.finditer(text):
        token = match[0]
        start = match.start()
        if token[0] == "{":
            is_table = token == "{|"
            if is_table and not _opens_line(text, start):
                continue
            num_open[is_table] += 1
            stack.append(len(found))
            found.append(_Span(start, -1, is_table))
            continue
        is_table = token == "|}"
        if not num_open[is_table]:
            continue
        if is_table and not _opens_line(text, start):
            continue
        while True:
            index = stack.pop()
            num_open[found[index].is_table] -= 1
            if found[index].is_table == is_table:
                break
        is_parameter = text.startswith("{", found[index].start + 2) and text.startswith("}", match.end())
        found[index].end = match.end() + is_parameter  # {{{parameter}}}
    table_end = -1
    for index in stack:
        if found[index].is_table:
            if table_end <= found[index].start:
                end = _UNCLOSED_TABLE.search(text, found[index].start)
                table_end = end.start() if end else len(text)
            found[index].end = table_end
    return _ordered(found)


def _opens_line(text: str, position: int) -> bool:
    """A table opens and closes at a line's beginning only; it may be indented as a list's item is."""
    before = text[max(0, position - _MAX_INDENT_CHARS) : position]
    line_start = before.rfind("\n") + 1
    return (line_start > 0 or position <= _MAX_INDENT_CHARS) and not before[line_start:].strip(" \t:*#")


def _ordered(found: list[_Span]) -> list[_Span]:
    """Drops spans without an end, cuts those that reach out of the one they stand in, and fills in ``after``."""
    spans: list[_Span] = []
    open_spans: list[_Span] = []
    for span in found:
        if span.end < 0:
            continue
        while open_spans and open_spans[-1].end <= span.start:
            open_spans.pop().after = len(spans)
        if open_spans and span.end > open_spans[-1].end:
            span.end = open_spans[-1].end
        spans.append(span)
        open_spans.append(span)
    for span in open_spans:
        span.after = len(spans)
    return spans


def resolve_templates(text: str, syntax: WikiNames, title: str = "") -> str:
    """Sets the words of templates in their place and removes all other templates, and tables.

    An opening ``{{`` that is never closed goes with the rest of its line, a closing one alone goes by itself.

    >>> from filters.wikitext.wiki_names import syntax
    >>> resolve_templates("It is {{convert|5|km|mi}} long.{{Navbox|{{x}}}}", syntax("en"))
    'It is 5 km long.'
    """
    if "{" not in text and "}}" not in text:
        return text
    spans = _spans(text)
    rendered = _Renderer(text, spans, syntax, title).render(0, len(text), 0, 0) if spans else text
    if "{{" in rendered:
        head, *rest = rendered.split("{{")
        rendered = head + "".join(_LINE_REST.sub("", piece, count=1) for piece in rest)
    return rendered.replace("}}", "")


@dataclass(slots=True)
class _Renderer:
    text: str
    spans: list[_Span]
    syntax: WikiNames
    title: str

    def render(self, start: int, end: int, index: int, depth: int) -> str:
        """The text from ``start`` to ``end`` with its templates resolved; ``index`` is the first span in it."""
        out: list[str] = []
        position = start
        spans, text = self.spans, self.text
        while index < len(spans) and spans[index].start < end:
            span = spans[index]
            out.append(text[position : span.start])
            if not span.is_table:
                out.append(self._template(span, index, depth))
            position = max(position, span.end)
            index = span.after
        out.append(text[position:end])
        return "".join(out)

    def _template(self, span: _Span, index: int, depth: int) -> str:
        match = _NAME.match(self.text, span.start + 2, span.end - 2)
        if match is None:
            return ""
        name = match[1].strip().replace("_", " ").lower()
        inner_end = span.end - 2 if self.text.startswith("}}", span.end - 2) else span.end
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix).lstrip()
        colon = name.startswith("formatnum:")
        if colon:
            name = "formatnum"
        rendering = self.syntax.templates.get(name)
        if rendering is None:
            rendering = _by_family(name, self.syntax.language)
        if not rendering or depth >= MAX_DEPTH:
            return ""
        if len(rendering) == 1 and len(rendering[0]) == 1:  # a constant
            return _protect(rendering[0][0])
        inner_start = self.text.index(":", span.start) + 1 if colon else match.end()
        inner = self.render(min(inner_start, inner_end), inner_end, index + 1, depth + 1)
        call = _arguments(inner if not colon else "|" + inner, self.syntax)
        return _fill(rendering, call, self.title)


def _by_family(name: str, language: str) -> Rendering:
    """Families of templates: one a language (``{{lang-de|...}}``, ``{{IPA-de|...}}``), the French numerals."""
    if name.startswith(("lang-", "язык-")):
        return (("", "1", ""),)
    if name.startswith("ipa-"):
        return (("[", "1", "]"),)
    if language == "fr" and _FRENCH_ORDINAL.fullmatch(name):  # {{3e}}, {{84e|Congrès}}
        return ((f"{name} ", "1", ""), (name,))
    if language == "fr" and (century := _FRENCH_CENTURY.fullmatch(name)):  # {{XXe siècle}}
        return ((century[1].upper() + century[2],),)
    return ()


def _arguments(inner: str, syntax: WikiNames) -> TemplateCall:
    """Parts ``|a|name=b``: links inside are resolved first, so that their ``|`` parts nothing."""
    if "[[" in inner:
        inner = resolve_links(inner, syntax)
    positional: list[str] = []
    named: dict[str, str] = {}
    for argument in inner.split("|", _MAX_ARGUMENTS)[1:]:
        name, equals, value = argument.partition("=")
        if not equals or len(name) > _MAX_ARGUMENT_NAME_CHARS or _NO_ARGUMENT_NAME.search(name.strip()):
            positional.append(argument.strip())
            continue
        name, value = name.strip().lower(), value.strip()
        named[name] = value
        if name.isascii() and name.isdigit() and 0 < int(name) <= len(positional) + 8:
            positional += [""] * (int(name) - len(positional))
            positional[int(name) - 1] = value
    return TemplateCall(positional, named, syntax.language)


def _fill(rendering: Rendering, call: TemplateCall, title: str) -> str:
    if isinstance(rendering, str):
        return _protect(RULES[rendering](call))
    for pattern in rendering:
        values = [_field(name, call, title) for name in pattern[1::2]]
        if all(values):
            pieces = list(pattern)
            pieces[1::2] = values
            return _protect("".join(pieces))
    return ""


def _field(name: str, call: TemplateCall, title: str) -> str:
    if name.isdigit():
        return call.get(int(name))
    if name == "*":
        return " ".join(call.positional)
    if name == "+":
        return "".join(call.positional)
    return title if name == "title" else call.named.get(name, "")


def _protect(text: str) -> str:
    """Marks a ``|`` or ``=`` of the words, so that it parts no arguments of a template around this one."""
    if "|" in text:
        text = text.replace("|", PIPE)
    return text.replace("=", EQUALS) if "=" in text else text
