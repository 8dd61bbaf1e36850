"""Decides which sentences of a comment are a notice of copyright or licence.

A sentence belongs to a notice if it grants or states rights (:func:`speaks`). The words "licence" and "copyright" alone
are not enough: comments also mention licence plates, copyright checkers and the redistribution of load. The next
sentences belong to the same notice if they contain words that are typical of licence clauses (:func:`continues`).
"""

from __future__ import annotations

import re
from functools import lru_cache

_NAMES = (
    r"(?:mit|x11|bsd|gpl|lgpl|agpl|apache|mpl|isc|mozilla|zlib|boost|eclipse|artistic|cddl|epl|gnu|psf|w3c|ofl|wtfpl|"
    r"unlicense|creative[ ]commons|cc0|cc[ -]by\S*|python[ ]software|microsoft[ ]public|academic[ ]free|"
    r"[234][ -]clause|new[ ]bsd|simplified[ ]bsd|modified[ ]bsd|open[ -]source|common[ ]public|affero|lesser)"
)
_LICENCE = (
    r"(?:licen[sc]es?\b(?!['’]?\s+(?:keys?|plates?|servers?|numbers?|codes?|managers?|checks?|checkers?|validation|"
    r"validator|header|headers|strings?|ids?|fields?|files?\s+(?:of|for|in|from|and)|objects?|types?|dialogs?))|"
    r"licen[sc]ing\b|\bGPL(?:v?\d)?\b|unlicense\b)"
)
_WORK = r"(?:file|program|code|library|source|work|software|package)"

_SPEAKS = re.compile(
    rf"""
    (?<![\w])copyrights?\b\s*(?:[(\[{{]\s*[cC©]\s*[)\]}}]|©|&copy;|[:,.-]*\s*(?:by\s+)?(?:[(\[]?(?:19|20)\d\d|[$@<%{{]\w|/\*))
    | ^\W{{0,40}}(?-i:Copyright|COPYRIGHT|copyright|Copyrights)(?:\s+by)?:?\s+(?-i:[A-Z0-9"'])(?!otice\b|OTICE\b|eader\b
        |hecker\b
        |etect|canner\b|ear\b|olders?\b|tatement\b|nformation\b|ffice\b)
    | ^\W{{0,40}}copyrights?[ \t]*::?[ \t]*\S | ^\W{{0,40}}\(c\)[ \t]+(?-i:[A-Z]) | ^\W{{0,40}}version:[ \t]*MPL\b
        | ^\W{{0,40}}copyrights?\W*$ | \bcopyright\s+(?:[\w.,-]+\s+){{0,4}}(?:authors?|contributors|holders?|owners?
        |project|team
        |foundation|corporation|corp|inc|ltd|company)\b(?!\s+(?:name|field|line|year|check))
    | \bcopylefted?\b | ^\W{{0,40}}© | ©\s*(?:19|20)\d\d | \(c\)[ \t]*(?:copyright|(?:19|20)\d\d) | \bcopr\.\s
        | ^\W{{0,40}}</?copyright\b
    | [@\\:](?:copyright|licen[sc]e)\b(?!\s+(?:key|plate|server)) | ^\W{{0,40}}SPDX-[\w-]+:\s*\S
        | SPDX-License-Identifier:\s*[\w(]
    | \ball\s+rights\s+reserved\b | \bproprietary\s+and\s+confidential | \bconfidential\s+and\s+proprietary
    | ^\W{{0,40}}(?:software\s+)?licen[sc]es?\s*(?:::?|=)(?!\s*$|\s*(?:true|false|none|null)\b) | ^\W{{0,40}}(?:full[ ]
        |{_NAMES}[ ])?licen[sc]e(?:\s+notice)?\W*$
    | \blicen[sc]e(?:\s*:|\s+is)\s+(?:the\s+)?{_NAMES}
    | \b{_NAMES}(?:[ -]style)?(?:\s+and\s+{_NAMES})?[ -]licen[sc]ed\b | ^\W{{0,40}}(?:re-?)?licen[sc]ed\s+(?:under|as)\b
    | \b(?:dual[ -])?licen[sc]ed\s+(?:under|with|as|by|for\s+use)\b(?=[^.]{{0,80}}(?:{_NAMES}|\blicen[sc]e|terms
        |version))
    | \blicen[sc]ed\s+to\s+(?:the\s+(?:apache|\.net)|(?:[\w.,]+\s+){{1,8}}?under\b) | \blicen[sc]ed\s+materials?\b
    | ^\W{{0,40}}(?:the\s+)?(?:{_NAMES}[\w .,()/-]{{0,40}}\blicen[sc]es?|{_NAMES})
        (?:[ ,(]+(?:version|v)?[ ]?\d[\d.]*|\s*\({_NAMES}\))*[\W\d]*(?:https?:\S+)?\W*$
    | \b(?:under|governed\s+by|subject\s+to|accordance\s+with|compliance\s+with|(?:terms|conditions)\s+of|copy\s+of)\s+
        (?:[\w'"’,-]+\s+){{0,6}}?(?:{_NAMES}[\w .,()/'"-]{{0,40}}?|the\s+|this\s+|that\s+|same\s+|[\w/-]+[-]style\s+
        |terms\s+of\s+(?:[\w'’-]+\s+){{0,4}}|(?:open|public|permissive|free|following|above)\s+){_LICENCE}
    | \b(?:see|read|refer\s+to|view|consult|found\s+in|defined\s+in|check)\s+(?:[\w'’./-]+\s+){{0,6}}?["'`<(*_]{{0,3}}
        (?-i:LICEN[SC]E|COPYING|COPYRIGHT|License|NOTICE|UNLICENSE|licen[sc]e\.\w+|LICENCE)(?:\b|_)
        (?!\s+(?:keys?|plates?|servers?|[Kk]ey|[Ss]erver))
    | \b(?:released|distributed|licen[sc]ed|available|published|provided|covered)\s+under\s+(?:the\s+|an?\s+)?
        (?:[\w.-]+\s+){{0,4}}{_LICENCE}
    | \bin\s+(?:the\s+)?file\s+["'`]?(?-i:LICEN[SC]E|COPYING) | \blicen[sc]ed\s+as\s+described
        | ^\W{{0,40}}for\s+terms\s+of\s+use\b
    | \b(?:see|read|at)\s+<?https?://\S*(?i:licen[sc]|copying)\S* | \b(?:see
        |read)\s+(?:the\s+)?licen[sc]e\s+(?:file\s+)?(?:for|at|in|below|above)\b
    | \bcopyright\s+(?:and|&|or)\s+licen[sc]\w+\s+(?:information|details|terms|notice)
        | \blicen[sc]e\s+that\s+can\s+be\s+found
    | \bpermission\s+is\s+(?:hereby|also)\s+granted
    | ^\W{{0,40}}permission\s+is\s+granted
        (?=\s*,|\s+(?:to\s+(?:any|all|copy|use|make|modify|re)|free|for|by|without|provided))
    | \bpermission\s+to\s+use,\s*copy
        | \bredistribution\s+and\s+use\b
    | \bredistributions\s+(?:of\s+source|in\s+binary) | (?-i:WITHOUT\s+(?:ANY\s+)?WARRANT)
    | \b(?:as[ -]is|provided|distributed|comes|{_WORK})\b[^.]{{0,60}}\bwithout\s+(?:any\s+)?warrant(?:y|ies)\b
        | \bwarranties\s+or\s+conditions
    | \bprovided\s+(?:["'`“‘*]{{1,3}}as[ -]is|(?-i:AS[ -]IS)) | \b(?:placed|released|dedicated|provided|is)\s+(?:in|into
        |to)\s+the\s+public\s+domain
    | \bis\s+free\s+(?:and\s+open[ -]source\s+)?software\b | \bdistributed\s+under\s+the\s+terms\b
    | \b(?:BEGIN|END|START|start\s+of|end\s+of)\s+(?-i:LICEN[SC]E)\b | \b(?-i:[CDPGL]+\s+HEADER\s+(?:START|END))\b
    | ^[^\w\n]{{0,40}}\S{{0,200}}?https?://\S{{0,300}}
        (?:licen[sc]es?\b|unlicense|/COPYING)\S{{0,300}}\W{{0,40}}$ | \bmay\s+not\s+use\s+this\s+file\s+except
    | \balle\s+rechte\s+vorbehalten\b | \btous\s+droits\s+r[ée]serv[ée]s\b
    | \btodos\s+(?:los\s+derechos|os\s+direitos)\s+reservados\b
    | \btutti\s+i\s+diritti\s+(?:sono\s+)?riservati\b | \bвсе\s+права\s+защищены | 版权所有 | 版權所有 | 無断.{{0,6}}禁
    | ^\W{{0,40}}(?:lizenz|licencia|licen[çz]a|licencja|лицензия)\s*:\s*{_NAMES}
    | \b(?:unter|sous|bajo|sob|sotto|под)\s+(?:[\w'’]+\s+){{0,3}}?
        (?:lizenz|licence|licencia|licença|licenza|лицензией)\s+{_NAMES}
    | \bunter\s+der\s+{_NAMES}[\w .-]{{0,20}}-?lizenz
    | ^\W{{0,40}}copyleft\b\s*(?:[(©]|(?:19|20)\d\d) | \bsee\s+(?:the\s+)?copyright\s+notice\b
    | \bno\s+part\s+of\s+this\s+{_WORK}\b[^.]{{0,40}}\bmay\s+be\b
    | ^\W{{0,40}}unauthori[sz]ed\s+[^.]{{1,80}}\b(?:prohibited|forbidden|not\s+permitted)\b
    | \buse,\s+duplication,?\s+or\s+disclosure\b
    | \bretains?\s+(?:certain|all)\s+(?:intellectual\s+property|rights\s+in\s+(?:and\s+to\s+)?th(?:is|e)\b)
    | \bterms\s+of\s+contract\s+(?-i:[A-Z0-9-]*\d)
    | \b(?:prepared|developed|produced|authored)\b[^.]{{0,100}}\bunder\s+contract\s+(?:no|num|(?-i:[A-Z0-9-]*\d))
    | \bthis\s+{_WORK}\s+(?:may|can)\s+be\s+(?:freely\s+(?:used|copied|distributed|modified)
        |(?:used|copied|distributed|modified)\s+freely)
    | \b{_WORK}\s+is\s+free\s+for\s+(?:any|all|commercial|personal|non-?commercial)\b[^.]{{0,40}}\buse\b
    | ^\W{{0,40}}public\s+domain(?:\s+version)?(?:\s+by\b|\W*$) | \bnot\s+copyrighted\b
    | \bfor\s+(?:more\s+)?licen[sc]e\s+(?:information|details|terms)\b | \bfollows?\s+the\s+following\s+licen[sc]e
    | \bthis\s+{_WORK}\s+may\s+not\s+be\s+(?:copied|distributed|sold)\b
    | \bno\s+rights\s+reserved\b | \bno\s+copyright\s+is\s+claimed\b
    | \bdisclaims?\s+(?:all\s+|any\s+)?copyright\b | \bnot\s+subject\s+to\s+copyright\b
    | \bdedicated\s+all\s+copyright\b | \bunpublished\s+proprietary\b
    | \b{_WORK}\s+is\s+provided\b[^.]{{0,80}}[`'"“‘]as[ -]is[`'"”’]
    | ^\W{{0,40}}rights\s+to\s+this\s+{_WORK}\b | \buse\s+is\s+subject\s+to\s+licen[sc]e\b
    | ^\W{{0,40}}(?:released|distributed)\s+under\s+(?:the\s+)?{_NAMES}\W*$
    | \bpermission\s+to\s+(?:use|copy|modify|distribute)(?:,|\s+and|\s+or)\s[^.]{{1,80}}\bis\s+(?:hereby\s+)?granted\b
    | \bthe\s+contents\s+of\s+this\s+file\s+are\s+subject\s+to\b | \buse\s+of\s+this\s+source\s+code\s+is\s+governed
    """,
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_NEEDED_WORDS = (
    "copyr", "copr", "(c)", "©", "copyleft", "rights reserved", "permission", "redistribution", "warrant",
    "provided", "public domain", "free software", "source software", "free for", "be freely", "ed freely", "no part of",
    "of contract", "under contract", "confidential", "spdx-", "gpl", "header ", "lizenz", "licen",
    "rechte vorb", "droits r", "derechos res", "direitos res", "diritti", "права", "лиценз", "权所",
    "權所", "無断", "copying", "subject to", "governed", "may not use", "bsd", "mit", "under the terms", "copy&",
    "apache", "no rights", "unauthori", "duplication", "retains all", "retain all", "retains certain",
    "unpublished", "rights to this", "may not be ", "terms of use", "retain certain",
)  # fmt: skip
"""Every sentence for which ``speaks`` returns True contains one of these words. Searching for these words first saves
nine tenths of the time."""

_CLAUSES = re.compile(
    r"\b(?:neither\s+the\s+names?|warrant(?:y|ies|ed)|liab(?:le|ility)|merchantab|infring|redistribut|hereby|sublicen|endorse|trademark|"
    r"applicable\s+law|above\s+copyright|copyright\s+(?:notice|holder|owner)|disclaimer|damages|"
    r"free\s+software\s+foundation|"
    r"except\s+according\s+to\s+th(?:ose|ese)\s+terms|may\s+not\s+be\s+copied,\s+modified|"
    r"franklin\s+st|temple\s+place|all\s+copies|substantial\s+portions|this\s+(?:permission\s+)?notice|misrepresent|"
    r"plainly\s+marked|hope\s+that\s+it\s+will\s+be|any\s+later\s+version|at\s+your\s+option|prior\s+written\s+permission|"
    r"advertising\s+materials|express\s+or\s+implied|governing\s+permissions|initial\s+developer|original\s+code|"
    r"portions\s+created|copyright\s+ownership|the\s+licen[sc]e\b|this\s+licen[sc]e\b|gnu\.org/|creativecommons\.org/|apache\.org/|opensource\.org|rights\s+reserved|"
    r"u\.?s\.?\s+government|copyright\s+remains|attribution\s+as\s+the\s+author|message\s+at\s+program\s+startup|"
    r"this\s+product\s+includes\b|\bcan\s+be\s+left\s+out\s+if|include\s+an\s+acknowledge?ment|"
    r"conditions\s+(?:are\s+ad?hea?red|apply\s+to\s+all\s+code)|"
    r"see\b[^.]{0,80}\b(?:copyright|licen[sc]|copying|accompanying\s+file))",
    re.IGNORECASE,
)
_CLAUSE_WORDS = frozenset(
    """
    software source distribution distributed distribute rights notice retain reproduce binary form documentation
    materials provided contributors permitted modification modify terms conditions granted persons person whom furnished
    copies copy altered claim product acknowledgment acknowledgement permission purpose fee limitations restriction
    express implied herein authors author origin original derived promote products agreement copyright licence license
    licensed commercial charge free use
    """.split()  # noqa: SIM905 - as a list it is five times as long
)
_MIN_CLAUSE_WORDS = 4
_CACHED_SENTENCES = 4_096
"""Number of sentences whose results are cached, because many files have the same licence. Our choice: the cache takes
about 2 MB."""
_STRONG_CLAUSES = re.compile(
    r"\b(?:above\s+copyright|substantial\s+portions|merchantab|non-?infring|sublicen|warrant(?:y|ies)|liable\s+for|"
    r"any\s+later\s+version|free\s+software\s+foundation|hope\s+that\s+it\s+will\s+be|prior\s+written\s+permission|"
    r"redistribut|notice\s+may\s+not|misrepresent|plainly\s+marked|neither\s+the\s+name|governing\s+permissions|"
    r"applicable\s+law|all\s+copies|except\s+according\s+to\s+th(?:ose|ese)\s+terms)",
    re.IGNORECASE,
)
_PART_OF = re.compile(
    r"\W*this\s+(?:file|program|code|library|script|module|source(?:\s+code)?)\s+is\s+(?:a\s+)?part\s+of\b",
    re.IGNORECASE,
)
_MARKS = " \t\n*#/;%!'\"-"
_URL = re.compile(r"\W*https?://\S+\s*")
_OWNER = re.compile(
    r"\W*[\w. ,&'’()-]{2,60}<?[\w.+-]+(?:@|\s+at\s+)[\w.-]+(?:\s+dot\s+\w+)*>?[\W]*\Z|\W*and\s+others\W*\Z",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"\bcopyrights?\b[^\n]{0,20}\b(?:19|20)\d\d\b|\(c\)[^\n]{0,12}\b(?:19|20)\d\d\b|©|spdx-license-identifier\s*:|"
    r"@(?:license|copyright)\b|\blicen[sc]ed\s+(?:under|to\s+the\s+apache)\b|\bredistribution\s+and\s+use\b|"
    r"\bpermission\s+is\s+hereby\s+granted\b|\ball\s+rights\s+reserved\b",
    re.IGNORECASE,
)
_SURE_CHARS = 60_000
_COPYRIGHT = re.compile(r"\bcopyright|\(c\)|©", re.IGNORECASE)


def may_speak(text: str) -> bool:
    """Returns True if the text may contain a notice, because it contains one of ``_NEEDED_WORDS``.

    Every notice contains one of these words. A text without these words need not be searched with the slow patterns.
    """
    lower = text.lower()
    return any(word in lower for word in _NEEDED_WORDS)


@lru_cache(maxsize=_CACHED_SENTENCES)
def speaks(sentence: str) -> bool:
    """Returns True if the sentence states copyright or grants a licence.

    >>> speaks("Copyright (c) 2010 A. Author"), speaks("Licensed under the MIT license.")
    (True, True)
    >>> speaks("It knows the rules under which each state issues a license plate.")
    False
    """
    return may_speak(sentence) and _SPEAKS.search(sentence) is not None


@lru_cache(maxsize=_CACHED_SENTENCES)
def continues(sentence: str, before: str, *, is_apart: bool = False, is_after_blank: bool = False) -> bool:
    """Returns True if a sentence belongs to the same notice as the sentence before it (``before``).

    ``is_apart`` is True if the two sentences are in different comments. Then the second sentence must contain two
    phrases that occur only in licences.

    ``is_after_blank`` is True if a blank line precedes the second sentence. This matters if ``before`` states copyright
    and the second sentence is a name with an e-mail address. Directly after ``before``, the name is that of the owner,
    so it belongs to the notice. After a blank line, it is that of the file's author, so it does not belong to the
    notice.
    """
    if is_apart:
        return len({match.group().lower() for match in _STRONG_CLAUSES.finditer(sentence)}) > 1
    if _CLAUSES.search(sentence) or _PART_OF.match(sentence) or _URL.fullmatch(sentence):
        return True
    if sentence.lstrip(_MARKS)[:1].islower() and not before.rstrip().endswith((".", "!")):  # continues a sentence
        return True
    if not is_after_blank and _OWNER.match(sentence) and _COPYRIGHT.search(before):
        return True
    return len(_CLAUSE_WORDS.intersection(re.findall(r"[a-z]+", sentence.lower()))) >= _MIN_CLAUSE_WORDS


def surely_speaks(text: str) -> bool:
    """Returns True if a comment certainly contains a notice of copyright or licence.

    This function is used for comments after an import. Most of these are documentation, so more evidence is needed than
    for other comments.

    >>> surely_speaks("Copyright (c) 2010 A. Author"), surely_speaks("Returns the copyright owner of an image.")
    (True, False)
    """
    return _SURE.search(text[:_SURE_CHARS]) is not None


def is_part_of(sentence: str) -> bool:
    """Returns True for a sentence such as ``This file is part of X``. Such a sentence belongs to a notice if the notice
    directly follows it.
    """
    return _PART_OF.match(sentence) is not None
