"""Replaces templates by the words that they show, and removes all other templates and all tables, at any depth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from filters.wikitext.links import resolve_links
from filters.wikitext.protected_text import EQUALS, PIPE, REMOVED_BLOCK
from filters.wikitext.template_call import TemplateCall, is_language_code
from filters.wikitext.template_families import rendering_finder
from filters.wikitext.template_rules import RULES
from filters.wikitext.template_spans import Span, find_spans
from filters.wikitext.wiki_names import Rendering, WikiNames, is_country

MAX_DEPTH = 40
"""Maximum depth of nested templates. Deeper templates are removed. MediaWiki's own limit ($wgMaxTemplateDepth) was 40
until version 1.34."""
_MAX_ARGUMENTS = 2000
_NAME = re.compile(r"\s*+([^|{}\[\]<>\n\x02-\x07]*+)")
_NO_ARGUMENT_NAME = re.compile(r"[\[\]{}<>\n\"']")
_MAX_ARGUMENT_NAME_CHARS = 60
_MAX_NAME_CHARS = 80
_LINE_REST = re.compile(r"[^\n]*")
_PREFIXES = ("template:", "subst:", "safesubst:", "msg:")
_FUNCTION = re.compile(r"(formatnum|lcfirst|ucfirst|lc|uc|padleft|padright):", re.IGNORECASE)
_MAX_SENTENCE_CHARS = 200
"""Number of characters before and after a template, on its line, that decide whether the template is inside a sentence.
The limit keeps the time linear."""
_MIN_SENTENCE_WORDS = 3
_WORD = re.compile(r"[^\W\d_]{2,}")
_CYRILLIC_WIKIS = frozenset({"bg", "ru", "sr", "uk"})
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_CYRILLIC = re.compile(r"[Ѐ-ӿ]")
_BEFORE_WORD = re.compile(r"[^\W_]?[ (\[„“«‚‘]|[,;:] | ?[(\[„“«‚‘]|[( ][\"']", re.DOTALL)
_AFTER_WORD = " ,;:.)!?\"'“”»’"
_NO_WORDS = re.compile(r"[/#]|www\.|[a-z]=|\.(?:svg|png|jpe?g|gif|ogg)\b", re.IGNORECASE)
_CODE = re.compile(r"[A-Z]{2,3}|[a-z]{2,3}|Q[0-9]+")
"""Matches codes of countries, languages and Wikidata items. An unknown template whose only argument is such a code
shows a flag or a link, not the code."""


@dataclass(slots=True)
class UnknownTemplates:
    """Counts how often each unknown template is used inside a sentence. The key is the template's name as the editor
    wrote it."""

    names: Counter[str] = field(default_factory=Counter)


def resolve_templates(text: str, syntax: WikiNames, title: str = "", unknown: UnknownTemplates | None = None) -> str:
    """Replaces templates by the words that they show, and removes all other templates and all tables.

    An opening ``{{`` that is never closed is removed with the rest of its line. If a closing ``}}`` has no opening,
    only the ``}}`` is removed. A removed table or template on lines of its own leaves a mark (:data:`REMOVED_BLOCK`),
    which ``line_layout`` removes later.

    >>> from filters.wikitext.wiki_names import syntax
    >>> resolve_templates("It is {{convert|5|km|mi}} long.{{Navbox|{{x}}}}", syntax("en"))
    'It is 5 km long.'
    """
    if "{" not in text and "}}" not in text:
        return text
    spans = find_spans(text)
    rendered = text
    if spans:
        renderer = _Renderer(text, spans, syntax, title, unknown or UnknownTemplates(), rendering_finder(syntax))
        rendered = renderer.render(0, len(text), 0, 0)
    if "{{" in rendered:
        head, *rest = rendered.split("{{")
        rendered = head + "".join(_LINE_REST.sub("", piece, count=1) for piece in rest)
    return rendered.replace("}}", "")


@dataclass(slots=True)
class _Renderer:
    text: str
    spans: list[Span]
    syntax: WikiNames
    title: str
    unknown: UnknownTemplates
    find: Callable[[str], Rendering | None]

    def render(self, start: int, end: int, index: int, depth: int) -> str:
        """Returns the text from ``start`` to ``end``. Each template in it is replaced by the words that it shows.

        ``index`` is the place of the first of these templates in ``spans``.
        """
        out: list[str] = []
        position = start
        spans, text = self.spans, self.text
        while index < len(spans) and spans[index].start < end:
            span = spans[index]
            out.append(text[position : span.start])
            words = "" if span.is_table else self._template(span, index, depth)
            if not words and not depth and (span.is_table or self._has_own_lines(span)):
                words = REMOVED_BLOCK
            out.append(words)
            position = max(position, span.end)
            index = span.next_outside
        out.append(text[position:end])
        return "".join(out)

    def _has_own_lines(self, span: Span) -> bool:
        text = self.text
        return text[span.start - 1 : span.start] in ("", "\n") and text[span.end : span.end + 1] in ("", "\n")

    def _template(self, span: Span, index: int, depth: int) -> str:
        match = _NAME.match(self.text, span.start + 2, span.end - 2)
        if match is None or depth >= MAX_DEPTH:
            return ""
        name = match[1].strip()
        if "_" in name or "  " in name:
            name = " ".join(name.replace("_", " ").split())
        inner_end = span.end - 2 if self.text.startswith("}}", span.end - 2) else span.end
        if ":" in name:
            name = _without_prefix(name)
            if function := _FUNCTION.match(name):
                inner_start = self.text.index(function[0], span.start) + len(function[0])
                return self._function(function[1].lower(), self.render(inner_start, inner_end, index + 1, depth + 1))
        rendering = self.find(name) if 0 < len(name) <= _MAX_NAME_CHARS else ()
        if rendering is None:
            if not self._is_in_sentence(span):
                return ""
            self.unknown.names[name] += 1
        elif not rendering:
            return ""
        elif len(rendering) == 1 and len(rendering[0]) == 1:  # the template always shows the same text
            return _protect(rendering[0][0])
        inner = self.render(min(match.end(), inner_end), inner_end, index + 1, depth + 1)
        call = _arguments(inner, self.syntax)
        if rendering is None:
            return _protect(_guess(name, call, is_set_apart=self._is_set_apart(span)))
        return _protect(_fill(rendering, call, self.title))

    def _function(self, name: str, inner: str) -> str:
        call = _arguments("|" + inner, self.syntax)
        return _protect(_FUNCTIONS[name](call))

    def _is_in_sentence(self, span: Span) -> bool:
        """Returns True if the template has enough words around it on its line. Returns False in a table row and in an
        argument."""
        text = self.text
        before = text[max(0, span.start - _MAX_SENTENCE_CHARS) : span.start].rpartition("\n")[2]
        after = text[span.end : span.end + _MAX_SENTENCE_CHARS].partition("\n")[0]
        if before.lstrip()[:1] in ("|", "!") or (not before.strip() and after.lstrip()[:2] == "{{"):
            return False
        return len(_WORD.findall(before)) + len(_WORD.findall(after)) >= _MIN_SENTENCE_WORDS

    def _is_set_apart(self, span: Span) -> bool:
        """Returns True if the template has the position of a word: after a blank or opening sign, and before text.

        Notes and requests for sources, by contrast, directly follow a word or a full stop.
        """
        before, after = self.text[max(0, span.start - 2) : span.start], self.text[span.end : span.end + 1]
        return bool(_BEFORE_WORD.fullmatch(before)) and bool(after) and (after in _AFTER_WORD)


def _without_prefix(name: str) -> str:
    """Removes ``Template:``, ``subst:`` and similar prefixes."""
    while True:
        prefix = next((prefix for prefix in _PREFIXES if name[: len(prefix)].lower() == prefix), "")
        if not prefix:
            return name
        name = name[len(prefix) :].lstrip()


def _guess(name: str, call: TemplateCall, *, is_set_apart: bool) -> str:
    """Guesses the words of an unknown template from its arguments. If the guess would be doubtful, returns an empty
    string.

    The rule is ours. It guesses in four cases. First, the arguments are a language code and one text. Second, the
    template's only argument is in a script that the wiki's language does not use. Third, the template has only one
    argument, and is in the position of a word of the sentence. Fourth, the template is named after a country.
    """
    words = [word for word in call.positional if word]
    if not words and not call.named:
        return name if is_country(name, call.language) else ""
    if len(words) == 2 and is_language_code(words[0]) and _WORD.search(words[1]):
        return words[1]
    if len(words) != 1 or call.named:
        return ""
    letters = _WORD.search(words[0])
    if letters is None or _NO_WORDS.search(words[0]):
        return ""
    own = _CYRILLIC if call.language in _CYRILLIC_WIKIS else _LATIN
    is_foreign = not own.search(words[0]) and not words[0].isascii()
    return words[0] if is_foreign or (is_set_apart and not _CODE.fullmatch(words[0])) else ""


_FUNCTIONS: Mapping[str, Callable[[TemplateCall], str]] = {
    "formatnum": RULES["formatnum"],
    "lc": lambda call: call.get(1).lower(),
    "uc": lambda call: call.get(1).upper(),
    "lcfirst": lambda call: call.get(1)[:1].lower() + call.get(1)[1:],
    "ucfirst": lambda call: call.get(1)[:1].upper() + call.get(1)[1:],
    "padleft": lambda call: call.get(1),
    "padright": lambda call: call.get(1),
}
"""MediaWiki's functions that change the words of their argument."""


def _arguments(inner: str, syntax: WikiNames) -> TemplateCall:
    """Splits ``|a|name=b`` into arguments. Resolves links first, so that their ``|`` does not separate arguments."""
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
        return RULES[rendering](call)
    for pattern in rendering:
        values = [_field(name, call, title) for name in pattern[1::2]]
        if all(values):
            pieces = list(pattern)
            pieces[1::2] = values
            return "".join(pieces)
    return ""


def _field(name: str, call: TemplateCall, title: str) -> str:
    if name.isdigit():
        return call.get(int(name))
    if name == "*":
        return " ".join(word for word in call.positional if word)
    if name == "+":
        return "".join(call.positional)
    return title if name == "title" else call.named.get(name, "")


def _protect(text: str) -> str:
    """Replaces each ``|`` and ``=`` in a text with a placeholder, so that an enclosing template does not read them as
    separators."""
    if "|" in text:
        text = text.replace("|", PIPE)
    return text.replace("=", EQUALS) if "=" in text else text
