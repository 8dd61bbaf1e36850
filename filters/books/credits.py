"""Removes credits and transcribers' notes from both ends of a book. These paragraphs say who made the electronic text,
and how.

:mod:`filters.books.boilerplate` uses this module. Only whole paragraphs are removed. One search goes forward from the
first paragraph of the book, another goes back from the last. Each search stops at the first paragraph that is not
certainly a credit or a note. On the title page, credits that contain an e-mail address are removed too.
"""

from __future__ import annotations

import re

MAX_CREDIT_CHARS = 2_000
"""Maximum length of a credit, in characters. Our choice: the longest known credit, a list of URLs of scans, has 900
characters."""
MAX_NOTES_CHARS = 20_000
"""Maximum length of the transcribers' notes at the end of a book, in characters. Our choice: enough for a list of a few
hundred corrections."""
_MAX_CREDITS = 12
_MAX_NOTE_PARAGRAPHS = 12

_E_TEXT = (
    r"(?:e-?text|e-?book|electronic\s+(?:text|edition|version|book)|file|html(?:\s+version)?"
    r"|(?:plain\s+)?text\s+version)"
)
_MADE = (
    r"(?:produced|prepared|created|scanned|transcribed|typed|keyed|entered|provided|converted|digiti[sz]ed|proofed"
    r"|proofread|proof-read|revised|updated|corrected|compiled|contributed|donated|processed|made|formatted|rekeyed)"
)
_CREDIT = re.compile(
    rf"""[ \t*\[(_=+|-]*(?:
      (?:this\s+|the\s+|project\s+gutenberg\s+)*{_E_TEXT}\s+(?:[\w'-]+\s+){{0,3}}?{_MADE}\b
    | (?:produced|scanned|typed|keyed|digiti[sz]ed|proofed|proofread|proof-read|entered)
        (?:,?\s+(?:and|&)?\s*(?:\w+\s+)?{_MADE})*(?:\s+(?:in|for|on|at)\s+[^\n]{{0,40}}?)?\s+by\b
    | transcribed\s+(?:from\s+the\s+[^\n]{{1,80}}\s+(?:edition|text)|by)\b
    | (?:ocr|scanning|scans|proofreading|proof-reading|typing|e-?text|html)(?:,?\s+(?:and\s+)?\w+){{0,4}}\s+by\b
    | credits?\s*:\s
    | note:\s+(?:project\s+gutenberg|images\s+of\s+the\s+original|this\s+is|the\s+original|there\s+is)\b
    | \(?this\s+(?:file|book|e-?book)\s+was\s+produced\s+from\s+(?:images|scans)
    | (?:this\s+is\s+)?(?:the\s+)?internet\s+wiretap\s+(?:[\w.]+\s+){{0,4}}edition(?:\s+of)?\s*\Z
    | (?:special\s+|many\s+)?thanks\s+(?:are\s+(?:due\s+|given\s+)?|go\s+)?to\b.{{0,300}}?\b(?:proof-?read
        |transcri|scann|{_E_TEXT})
    | with\s+(?:special\s+|many\s+)?thanks\s+to\b.{{0,300}}?\b(?:proof-?read|transcri|scann|{_E_TEXT})
    | (?:digital\s+|page\s+)?images?\s+(?:(?:of|from)\s+[^\n]{{1,80}}\s+)?(?:were\s+
        |was\s+)?(?:generously\s+)?(?:made\s+available|provided|courtesy)\b
    | this\s+{_E_TEXT}\s+(?:is\s+|was\s+)?(?:made\s+|provided\s+)?(?:possible\s+)?(?:through\s+the\s+)?courtesy\s+of\b
    | produit\s+par\b | produ[ïi]t\s+per\b | produc?ido\s+por\b | produzido\s+por\b | prodotto\s+da\b
        | produziert\s+von\b
    | produc?er[ae][dt]\s+a[fv]\b | framst[äa]ll[td]\w*\s+av\b | fremstillet\s+af\b | geproduceerd\s+door\b
    | tuottan(?:ut|eet)\b | produktita\s+de\b | hergestellt\s+von\b | erstellt\s+von\b.{{0,200}}(?:proofread|gutenberg)
    | (?:dit|dieser?|dieses|ce|cet|este|esta|questo|denna|denne|tämä|ĉi\s+tiu)\s+(?:e-?(?:boo?k|boek|text|bog|bok
        |kirja|livre|livro|libro)|
        (?:livre|texte|document|fichier|libro|documento)\s+[ée]lectr[óo]ni\w+)\s+(?:[\w-]+\s+){{1,3}}?(?:door|von
            |par|por|da|av|af|de)\b
    | ce\s+document\s+fut\s+pr[ée]sent | (?:e-?text|e-?boo?k|e-?boek)\s+(?:erstellt|geproduceerd|gemaakt|produziert)\b
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_NAMES_PROJECT = re.compile(
    r"pgdp\.(?:net|org)|distributed\s+proofread|proofreading\s+team|proofreaders\s+(?:team|europe|canada)"
    r"|gutenberg\.(?:org|net|ca)|pglaf\.org|project\s+gutenberg|archive\.org/details",
    re.IGNORECASE,
)
_NOTE_HEAD = re.compile(
    r"""[ \t*\[(_=+|~\#-]*(?:
      transcriber(?:'s|’s|s'|s’|s)?\s+(?:end\s*-?)?(?:notes?|comments?|amendments?|corrections?)
    | (?:end\s*-?)?notes?\s+(?:by|from|of)\s+(?:the\s+)?transcriber | e-?text\s+transcriber
    | typographical\s+errors\s+(?:that\s+were\s+)?corrected\s+(?:by\s+the|in\s+(?:the|this))\s+(?:e-?text|e-?book
        |transcri|text)
    | notes?\s+(?:on|about|to)\s+(?:the|this)\s+(?:transcription|e-?text|e-?book|electronic)
    | (?:changes|corrections|emendations)\s+(?:made\s+)?(?:by|against|to|in|from)\s+(?:the\s+)?(?:transcriber
        |printed\s+original|original\s+text|e-?text)
    | (?:list\s+of\s+)?(?:changes|corrections)\s+made\s+(?:to|in|during|by)\b
    | the\s+following\s+(?:typographical\s+|printer['’]?s['’]?\s+|obvious\s+|minor\s+)*(?:changes|corrections
        |errors|typos)\s+(?:have\s+been|were)\s+(?:made|corrected|noted)
    | notes?\s+(?:du|de\s+la|de|sur\s+la)\s+transcri | liste\s+des\s+(?:modifications|corrections)
    | anmerkung(?:en)?\s+(?:zur|der|des)\s+(?:transkri|bearbeit) | hinweise?\s+zur\s+transkription
    | liste\s+der\s+(?:vorgenommenen\s+)?(?:korrekturen|änderungen) | opmerkingen?\s+van\s+de\s+bewerker
    | (?:lijst\s+van\s+)?verbeteringen\s*\n | notas?\s+(?:del|de\s+la|de|do)\s+transcri
        | lista\s+de\s+erros\s+corrigidos
    | not[ae]\s+del\s+trascrittore | transkriber(?:arens|ingsnot) | noto\s+de\s+la\s+transskrib | au\s+lecteur\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_NOTE_WORDS = re.compile(
    r"typograph|punctuation|spelling|hyphenat|transcri|itali[cq]|silently|tacite|e-?text|e-?book|livre\s+électronique|fin\s+du\s+texte"
    r"|underscores?\b|equal\s+signs|bold\s?face|car[ae]t\b|superscript|small\s+cap|enclosed\s+(?:by|in|within)|diacritic"
    r"|transliterat|utf-8|unicode|character\s+(?:set|encoding)|html\s+version|footnotes\s+(?:have|were)|blank\s+pages"
    r"|(?:have|has)\s+been\s+(?:retained|preserved|corrected|moved|changed|left\s+as|relocated|added)|cover\s+image"
    r"|printer'?s?\s+error|obvious\s+error|orthogra|druckfehler|rechtschreib|zeichensetzung|spelfout|errata|erreurs",
    re.IGNORECASE,
)
_BOOK_PART = re.compile(
    r"^[ \t]*(?:footnotes?|notes|index|chapter|appendix|the\s+end|finis|advertisements?|book|part|volume|preface)"
    r"\b[^\n]{0,40}$",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"[\w.+-]{1,60}@[\w-]{1,60}\.[\w.-]{2,60}")
"""Matches an e-mail address. The title page of a printed book contains no e-mail address."""
_MAX_TITLE_PAGE_CHARS = 2_000
_MAX_TITLE_PARAGRAPH_CHARS = 400
"""Maximum length of a paragraph of a title page, in characters. Our choice: a longer paragraph belongs to the text of
the book, so the search ends there."""
_COLOPHON = re.compile(r"[ \t]*(?:colofon|colophon|kolophon)[ \t]*(?:\n|\Z)", re.IGNORECASE)
_NAMES_E_BOOK = re.compile(r"gutenberg|pgdp\.net|\be-?bo[oe]k", re.IGNORECASE)
_COLOPHON_CHARS = 1_500
_INDENT = " " * 4
_NOT_BLANK = re.compile(r"[^ \t\n\f]")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def is_credit(paragraph: str, *, is_marked: bool = True) -> bool:
    """Returns True if a paragraph only says who made the electronic text.

    ``is_marked`` is True if Gutenberg's marks are around the book. Then every paragraph that begins like a credit
    counts as a credit, even if it is none (third example). A paragraph of under 600 characters that names the project
    or its proofreaders also counts.

    Without marks, a paragraph must begin like a credit. In addition it must name the project or its proofreaders, or
    begin with "Produced by" or "E-text prepared by".

    >>> is_credit("Produced by Al Haines"), is_credit("Edited by William Smith"), is_credit("Produced by the sun")
    (True, False, True)
    """
    if len(paragraph) > MAX_CREDIT_CHARS:
        return False
    begins = _CREDIT.match(paragraph) is not None
    names = _NAMES_PROJECT.search(paragraph) is not None
    if is_marked:
        return begins or (names and len(paragraph) < 600)
    return begins and (
        names or re.match(r"\s*(?:produced by|e-text prepared by)\s+[A-Z]", paragraph, re.IGNORECASE) is not None
    )


def _paragraph_end(text: str, pos: int) -> tuple[int, int]:
    """Returns where the next paragraph after ``pos`` begins and ends: the start of its first line, and the end of its
    last line.
    """
    first = _NOT_BLANK.search(text, pos)
    begin = first.start() if first else len(text)
    begin = max(pos, text.rfind("\n", pos, begin) + 1) if begin > pos else begin
    blank = _BLANK_LINES.search(text, begin)
    return begin, blank.start() if blank else len(text)


def _note_end(text: str, begin: int, end: int) -> int:
    """Returns the position where a transcriber's note ends. The note's heading is ``text[begin:end]``.

    Returns ``begin`` if it is not certain that this is a note.
    """
    lead = text[begin:end].lstrip()
    window = min(len(text), begin + 8_000)
    if lead.startswith("["):
        close = text.find("]\n", begin, window)
        return close + 1 if close >= 0 else begin
    if lead.startswith("+-"):
        border = text.rfind("\n+-", begin, window)
        return text.find("\n", border + 1) if border > begin and text.find("\n", border + 1) > 0 else begin
    says_so = _NOTE_WORDS.search(text[begin:end].split("\n", 1)[-1]) is not None
    is_sure = says_so or (":" in lead[:40] and len(lead) > 60)  # "Transcriber's Note: a sentence", in one paragraph
    found = end if is_sure else begin
    for _ in range(_MAX_NOTE_PARAGRAPHS):
        begin_next, end_next = _paragraph_end(text, end)
        paragraph = text[begin_next:end_next]
        if not paragraph or len(paragraph) > MAX_CREDIT_CHARS or _BOOK_PART.search(paragraph):
            break
        if not _NOTE_WORDS.search(paragraph) and not (found > begin and _is_set_in(text, begin, paragraph)):
            break
        found = end = end_next
    return found


def _is_set_in(text: str, begin: int, paragraph: str) -> bool:
    """Returns True if every line of the paragraph is indented, but the note's heading at ``begin`` is not indented.
    Such a paragraph belongs to the note.
    """
    heading = text[begin : begin + 80].lstrip("\n")
    return not heading.startswith(" ") and all(line.startswith(_INDENT) for line in paragraph.rstrip().split("\n"))


def _credits_before(text: str, *, is_marked: bool) -> int:
    """Returns the total length of the credits and notes at the beginning of a text, in characters."""
    cut = 0
    for _ in range(_MAX_CREDITS):
        begin, end = _paragraph_end(text, cut)
        paragraph = text[begin:end]
        if not paragraph.strip():
            break
        if is_credit(paragraph, is_marked=is_marked):
            cut = end
        elif is_marked and _NOTE_HEAD.match(paragraph) and (note_end := _note_end(text, begin, end)) > begin:
            cut = note_end
        else:
            break
        is_marked = True  # after a credit, paragraphs are judged as after a header
    return cut


def _notes_start(text: str) -> int:
    """Returns the position where the transcribers' notes at the end of a book begin. Returns the text's length if there
    are no notes.
    """
    window = max(len(text) - MAX_NOTES_CHARS, len(text) // 2)
    for blank in _BLANK_LINES.finditer(text, window):
        head = text[blank.end() : blank.end() + 200]
        if _COLOPHON.match(head) and _NAMES_E_BOOK.search(text, blank.end(), blank.end() + _COLOPHON_CHARS):
            return blank.start()
        if not _NOTE_HEAD.match(head):
            continue
        rest = text[blank.end() :]
        behind_head = rest.split("\n", 1)[-1]
        if _BOOK_PART.search(behind_head) or (
            head.lstrip().lower().startswith("au lect") and not _NOTE_WORDS.search(rest)
        ):
            continue
        return blank.start()
    return len(text)


def _credits_behind(text: str) -> int:
    """Returns the position where the book ends. Only credits and notes follow this position."""
    end = len(text.rstrip())
    for _ in range(_MAX_CREDITS):
        start = max(text.rfind("\n\n", 0, end) + 2, 0) if "\n\n" in text[max(0, end - MAX_CREDIT_CHARS) : end] else end
        if start >= end or not _CREDIT.match(text[start:end]) or not is_credit(text[start:end]):
            break
        end = len(text[:start].rstrip())
    notes = _notes_start(text[:end])
    if notes < end:
        end = len(text[:notes].rstrip().rstrip("*- \n\t"))
    return end


def _without_title_page_credits(body: str) -> str:
    """Removes credits between the title and the text of a book. Only paragraphs that begin like a credit and contain an
    e-mail address are removed.

    >>> _without_title_page_credits("A BOOK\\n\\nEntered by A. Body\\nbody@a.org\\n\\nIt began.\\n")
    'A BOOK\\n\\nIt began.\\n'
    """
    kept: list[str] = []
    pos = begin = 0
    while begin < min(len(body), _MAX_TITLE_PAGE_CHARS):
        first, end = _paragraph_end(body, begin)
        paragraph = body[first:end]
        if not paragraph or len(paragraph) > _MAX_TITLE_PARAGRAPH_CHARS:
            break
        if _CREDIT.match(paragraph) and _ADDRESS.search(paragraph):
            kept.append(body[pos:first])
            blank = _BLANK_LINES.match(body, end)
            end = pos = blank.end() if blank else end
        begin = end
    return "".join([*kept, body[pos:]]) if pos else body


def strip_credits(text: str, *, is_marked: bool) -> tuple[str, int]:
    """Removes credits and notes from both ends of a book. Returns the remaining text, and the number of characters that
    were cut at the beginning of the text.

    ``is_marked`` is True if Gutenberg's marks were around the book. If it is False and the text does not begin with a
    paragraph that is certainly a credit, the text is returned unchanged. In all other cases, blank lines at both ends
    are removed too.

    >>> strip_credits("\\n\\nProduced by A. Body\\n\\n  A BOOK\\n", is_marked=True)
    ('  A BOOK', 23)
    """
    cut = _credits_before(text, is_marked=is_marked)
    if not is_marked and not cut:
        return text, 0
    body = text[cut:]
    num_blank = re.match(r"(?:[ \t\f]*\n)*", body)
    cut += num_blank.end() if num_blank else 0
    body = text[cut:]
    return _without_title_page_credits(body[: _credits_behind(body)]), cut
