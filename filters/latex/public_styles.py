r"""Distinguishes a paper's own macro files from public files, which authors submit but did not write.

Many papers use the commands of public files, so these commands are not expanded.
"""

from __future__ import annotations

import posixpath
import re

from filters.latex.groups import words

PUBLIC_STYLES = words(
    "natbib epsf epsfig psfig graphicx graphics amsmath amssymb amsfonts amsthm amscd hyperref url cite subfigure"
    " subfig algorithm algorithmic algorithm2e algpseudocode algorithmicx times mathptmx titlesec geometry fancyhdr"
    " fancyheadings caption caption2 float color xcolor multirow booktabs enumitem listings tikz pgf pgfplots xspace"
    " etoolbox xparse cleveref microtype overcite feynmf feynmp axodraw slashed youngtab diagrams xy lineno setspace"
    " aas_macros aas_journals wrapfig rotating bm bbm stfloats lscape longtable dcolumn comment verbatim fancyvrb"
    " minted soul ulem siunitx physics braket mathtools empheq pstricks prettyref authblk apacite chicago harvard"
    " mciteplus appendix tocloft titling xr nameref varioref makecell ijcai kdd jheppub jcappub mcite revsymb dsfont"
    " stmaryrd mathrsfs latexsym xkeyval tcolorbox todonotes changes amstex amsppt amsart amsbook amsproc article"
    " report book letter standalone subfiles beamer elsarticle imsart memoir scrartcl scrreprt scrbook mn mn2e aa"
    " aastex apjfonts apj astron paspconf icmp birkart gtpart gtart ptptex cimento espcrc1 espcrc2 czjphys proc"
    " slashbox floatflt picins epstopdf psfrag pst-all multicol theorem ntheorem thmtools thm-restate acronym"
    " glossaries import docmute preview cancel accents calrsfs eucal eufrak euscript pifont wasysym marvosym rsfs"
    " mathabx esint hypcap breakurl doi breakcites sectsty parskip flushend balance cuted dblfloatfix placeins"
    " afterpage pdfpages tabularx tabulary threeparttable arydshln diagbox ctable colortbl supertabular hhline array"
    " delarray blkarray easybmat arxiv pdfsync quotmark tensor feynmp-auto tikz-cd tikz-feynman jmlrutils wlpeerj"
    " wlscirep"
)
"""Packages and classes that authors submit with a paper but did not write."""
_PUBLIC_INPUTS = words(
    "epsf psfig harvmac lanlmac amstex amssym mssymb xypic xy pictex phyzzx jnl jytex tcilatex eplain texdraw lamstex"
    " epsfx miniltx pst-key pstricks tables btxmac opmac"
)
r"""Public macro files that papers in plain TeX ``\input``."""
_VENUE_STYLE = re.compile(
    r"(?:acl|naacl|emnlp|eacl|aacl|coling|icml|nips|neurips|iclr|cvpr|iccv|eccv|wacv|bmvc|aaai|ijcai|uai|aistats|colt|jmlr"
    r"|interspeech|spconf|icassp|ieee|acm|sig|llncs|svjour|svmult|svproc|elsart|revtex|aastex|emulateapj|mn2e|mnras|pos\Z"
    r"|siam|ws-|iop|jhep|lrec|usenix|vldb|icme|corl|rss|tacl|conll|ismir|arxiv|preprint|interact|sn-|mdpi|frontiers"
    r"|agu|ametsoc|osa|spie|pnas|sage|wiley|copernicus|birkjour|cup|oup|biom|plos|nature|ifacconf|isprs|lipics|eptcs"
    r"|easychair|imsart|informs|asme|achemso|rsc|ltex|autart|egpubl|eurasip|cimart)[\w-]*\Z",
    re.IGNORECASE,
)
_PUBLIC_HEADER = re.compile(
    r"docstrip|LaTeX Project Public Licen[cs]e|\bLPPL\b|\bctan\b|\bCTAN:"
    r"|This file is part of the .{1,60} (?:bundle|package)",
    re.IGNORECASE,
)
_HEADER_CHARS = 6_000
"""Number of characters of a file that are searched for a licence. Our choice: long licences have under 2,500
characters."""


def is_public_style(path: str, text: str) -> bool:
    r"""Returns True if a class or package is public, judged by its name or its header.

    >>> is_public_style("natbib.sty", ""), is_public_style("mymath.sty", r"\newcommand{\R}{\mathbb{R}}")
    (True, False)
    """
    stem = posixpath.splitext(posixpath.basename(path))[0].lower()
    if stem in PUBLIC_STYLES or _VENUE_STYLE.match(stem):
        return True
    return _PUBLIC_HEADER.search(text[:_HEADER_CHARS]) is not None


def is_public_input(path: str, text: str) -> bool:
    r"""Returns True if a file that a paper reads with ``\input`` is a public macro file.

    >>> is_public_input("harvmac.tex", ""), is_public_input("appendix.tex", "")
    (True, False)
    """
    stem, ending = posixpath.splitext(posixpath.basename(path).lower())
    if ending in (".sty", ".cls"):
        return is_public_style(path, text)
    return stem in _PUBLIC_INPUTS or (
        ending in (".def", ".cfg") and _PUBLIC_HEADER.search(text[:_HEADER_CHARS]) is not None
    )
