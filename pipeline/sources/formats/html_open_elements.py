"""Reads the tags of a page in order, and keeps a list of the elements that are open. Builds no tree. The rules are
those of the HTML standard (section 13.2.6).

Some of the standard's rules for closing elements are left out. So an element may stay open longer here than in a
parser, but never shorter.
"""

from __future__ import annotations

from collections.abc import Collection


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNSTACKED = _words(
    "area base basefont bgsound body br col embed frame head hr html image img input keygen link meta param "
    "source track wbr"
)
"""Tags that are not counted, because they leave no element open, or only one element per page."""

_FORMATTING = _words("b big code em font i nobr s small strike strong tt u")
_MAX_EQUAL_FORMATTING = 3
"""The standard keeps at most this many equal elements in the list of active formatting elements ("Noah's Ark
clause").
"""
_LIST_MARKERS = _words("applet caption marquee object td template th")
_SCOPE_MARKERS = _LIST_MARKERS | {"table", "svg", "math", "select"}
_SPECIAL = _SCOPE_MARKERS | _words(
    "address article aside blockquote button center colgroup dd details dir div dl dt fieldset figcaption figure "
    "footer form frameset h1 h2 h3 h4 h5 h6 header hgroup li listing main menu nav noscript ol p plaintext pre "
    "search section summary tbody tfoot thead tr ul"
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CLOSES_P = _HEADINGS | _words(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer "
    "form header hgroup li listing main menu nav ol p plaintext pre search section summary table ul"
)
_CLOSES_ITEM = {"li": frozenset({"li"}), "dd": frozenset({"dd", "dt"}), "dt": frozenset({"dd", "dt"})}
_GROUPS = frozenset({"tbody", "thead", "tfoot"})
_CLOSES_CELL = {
    "td": frozenset({"td", "th"}),
    "th": frozenset({"td", "th"}),
    "tr": frozenset({"tr"}),
    **dict.fromkeys(_GROUPS, _GROUPS),
}
_TABLE_ONLY = frozenset({"table", "template"})
_CLOSES_SAME = frozenset({"button", "option", "optgroup", "a"})
_TRANSPARENT = frozenset({"address", "div", "p"})
"""If one of these elements is open inside a list item, the parser can nevertheless close the list item. All other
special elements prevent this.
"""
_FOREIGN = frozenset({"svg", "math"})
_LEAVES_FOREIGN = _words(
    "b big blockquote center code dd div dl dt em h1 h2 h3 h4 h5 h6 i li listing menu nobr ol p pre ruby s small "
    "span strong strike sub sup table tt u ul var"
)
_HOLDS_HTML = _words("annotation-xml desc foreignobject mi mn mo ms mtext title")


class OpenElements:
    """Keeps two lists of the HTML standard: the stack of open elements, and the list of active formatting elements
    (such as ``<b>``). ``max_depth`` and ``max_formatting`` are the greatest lengths of these lists so far.
    """

    def __init__(self) -> None:
        self.max_depth = 0
        self.max_formatting = 0
        self._stack: list[str] = []
        self._num_open = dict.fromkeys(_SPECIAL, 0)
        self._formatting: list[tuple[str, str, int]] = []
        """The list of active formatting elements. For each element it has the name, the whole tag, and the number of
        markers before the element.
        """
        self._num_markers = 0

    def see(self, name: str, tag: str) -> None:
        """Processes the next tag. ``name`` is in lower case. The name of an end tag begins with ``/``."""
        if name[0] == "/":
            self._close(name[1:])
        else:
            self._open(name, tag)
            self.max_depth = max(self.max_depth, len(self._stack))
            self.max_formatting = max(self.max_formatting, len(self._formatting))

    def _open(self, name: str, tag: str) -> None:
        stack, num_open = self._stack, self._num_open
        if name in _FOREIGN and tag.endswith("/>"):
            return
        if num_open["svg"] or num_open["math"]:
            if name in _LEAVES_FOREIGN:
                self._pop_to(_FOREIGN, until=_HOLDS_HTML | _SPECIAL - _FOREIGN)
            elif tag.endswith("/>") and self._is_in_foreign():
                return
        if name in _CLOSES_P and num_open["p"]:
            self._pop_to({"p"}, until=_SCOPE_MARKERS | {"button"})
        if name in _FORMATTING:
            entry = (name, tag, self._num_markers)
            if self._formatting.count(entry) < _MAX_EQUAL_FORMATTING:
                self._formatting.append(entry)
        elif name in _CLOSES_ITEM:
            self._pop_to(_CLOSES_ITEM[name], until=_SPECIAL - _TRANSPARENT - _CLOSES_ITEM[name])
        elif name in _CLOSES_CELL:
            if num_open["table"]:
                self._pop_to(_CLOSES_CELL[name], until=_TABLE_ONLY)
        elif stack and ((name in _CLOSES_SAME and stack[-1] == name) or (name in _HEADINGS and stack[-1] in _HEADINGS)):
            self._pop(len(stack) - 1)
        stack.append(name)
        if name in _SPECIAL:
            num_open[name] += 1
            self._num_markers += name in _LIST_MARKERS

    def _is_in_foreign(self) -> bool:
        for name in reversed(self._stack):
            if name in _FOREIGN:
                return True
            if name in _SPECIAL or name in _HOLDS_HTML:
                return False
        return False

    def _close(self, name: str) -> None:
        if name in _FORMATTING:
            self._close_formatting(name)
        elif self._stack and self._stack[-1] == name:
            self._pop(len(self._stack) - 1)
        elif name in _HEADINGS:
            self._pop_to(_HEADINGS, until=_SCOPE_MARKERS)
        elif name not in _SPECIAL:
            self._pop_to({name}, until=_SPECIAL)
        elif self._num_open[name]:
            is_of_table = name in _CLOSES_CELL or name in _TABLE_ONLY
            self._pop_to({name}, until=(_TABLE_ONLY if is_of_table else _SCOPE_MARKERS) - {name})

    def _close_formatting(self, name: str) -> None:
        """Closes one formatting element. As in a parser, the elements inside it stay open."""
        for number in range(len(self._formatting) - 1, -1, -1):
            if self._formatting[number][0] == name:
                if self._formatting[number][2] == self._num_markers:
                    del self._formatting[number]
                break
        for number in range(len(self._stack) - 1, -1, -1):
            if self._stack[number] == name:
                del self._stack[number]
                return
            if self._stack[number] in _SCOPE_MARKERS:
                return

    def _pop_to(self, names: Collection[str], *, until: Collection[str]) -> None:
        """Finds the innermost open element with one of the ``names``. Closes this element and all elements inside it.

        Does nothing if one of the elements inside it has a name in ``until``.
        """
        for number in range(len(self._stack) - 1, -1, -1):
            if self._stack[number] in names:
                self._pop(number)
                return
            if self._stack[number] in until:
                return

    def _pop(self, number: int) -> None:
        gone = self._stack[number:]
        del self._stack[number:]
        num_markers = 0
        for name in gone:
            if name in _SPECIAL:
                self._num_open[name] -= 1
                num_markers += name in _LIST_MARKERS
        if num_markers:
            self._num_markers -= num_markers
            if num_markers == 1:
                self._formatting[:] = [entry for entry in self._formatting if entry[2] <= self._num_markers]
