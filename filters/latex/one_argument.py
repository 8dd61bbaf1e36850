r"""Decides whether a macro is the whole argument of the preceding command: ``\hat\a``, ``\frac{1}\a``, ``\sqrt[3]\a``.

If it is, the text of the macro must stay one argument when the macro is expanded. So the text gets braces.
"""

from __future__ import annotations

from filters.latex.groups import words

_TAKES = {
    1: words(
        "hat bar tilde vec dot ddot dddot check breve acute grave mathring widehat widetilde overline underline sqrt"
        " overbrace underbrace overrightarrow overleftarrow underrightarrow mathbf mathrm mathcal mathbb mathsf mathtt"
        " mathit mathfrak mathscr mathbin mathrel mathop mathord mathopen mathclose mathpunct mathinner boldsymbol bm"
        " pmb text textbf textrm textit texttt textsf textsc textsl textup textmd textnormal textsuperscript"
        " textsubscript emph mbox hbox fbox boxed operatorname uppercase lowercase MakeUppercase cite citep citet ref"
        " eqref Bbb frak cal phantom hphantom vphantom smash substack footnote caption section subsection"
        " subsubsection paragraph xrightarrow xleftarrow cancel slashed mathbbm mathds ket bra"
    ),
    2: words(
        "frac dfrac tfrac cfrac binom dbinom tbinom stackrel overset underset textcolor colorbox raisebox scalebox href"
        " sideset"
    ),
    3: words("multicolumn genfrac"),
}
_NUM_ARGUMENTS = {name: count for count, names in _TAKES.items() for name in names}
MAX_BEFORE_CHARS = 200
"""Number of characters searched backwards for a command and its first arguments. Our choice: a first argument has under
100 characters."""
_MAX_NAME_CHARS = 40


def takes_token(before: str) -> bool:
    r"""Returns True if the text ends in a command that takes the next token as its last argument.

    >>> takes_token(r"\hat"), takes_token(r"\frac{a_{1}} "), takes_token(r"\hat{x}"), takes_token(r"\sqrt[3]")
    (True, True, False, True)
    >>> takes_token(r"\frac\alpha"), takes_token(r"\frac1"), takes_token(r"\hat\alpha"), takes_token("1")
    (True, True, False, False)
    """
    if before[-1:] not in " \n\t}])*" and not before[-1:].isalnum():
        return False
    num_arguments, pos = 0, _skip_back(before, len(before))
    while True:
        name = _name_before(before, pos)
        if name in _NUM_ARGUMENTS:
            return _NUM_ARGUMENTS[name] > num_arguments
        if pos == 0 or num_arguments > 2:
            return False
        last = before[pos - 1]
        if name:
            if num_arguments:
                return False
            pos -= len(name) + 1
            num_arguments += 1
        elif last == "}":
            pos = _opening(before, pos, "{", "}")
            num_arguments += 1
        elif last == "]":
            pos = _opening(before, pos, "[", "]")
        elif last == "*":
            pos -= 1
        else:
            return num_arguments == 0 and _is_second(before, pos)
        if pos < 0:
            return False
        pos = _skip_back(before, pos)


def _is_second(before: str, pos: int) -> bool:
    r"""Returns True for ``\frac1\a`` and ``\frac x\a``, where the first argument is one character."""
    if pos < 3 or not before[pos - 1].isalnum():
        return False
    if before[pos - 1].isalpha() and before[pos - 2] not in " \t\n":
        return False
    return _NUM_ARGUMENTS.get(_name_before(before, _skip_back(before, pos - 1)), 0) == 2


def _name_before(text: str, pos: int) -> str:
    if not pos or not text[pos - 1].isalpha():
        return ""
    start = text.rfind("\\", max(0, pos - _MAX_NAME_CHARS), pos)
    name = text[start + 1 : pos]
    if start < 0 or not (name.isalpha() and name.isascii()):
        return ""
    num_backslashes = len(text[:start]) - len(text[:start].rstrip("\\")) if text[start - 1 : start] == "\\" else 0
    return "" if num_backslashes % 2 else name


def _skip_back(text: str, pos: int) -> int:
    while pos > 0 and text[pos - 1] in " \t\n":
        pos -= 1
    return pos


def _opening(text: str, pos: int, opens: str, closes: str) -> int:
    depth = 0
    for place in range(pos - 1, -1, -1):
        char = text[place]
        if char in (opens, closes) and not (place and text[place - 1] == "\\"):
            depth += 1 if char == closes else -1
            if depth == 0:
                return place
    return -1
