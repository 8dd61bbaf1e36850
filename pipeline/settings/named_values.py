"""Checks that names in settings exist, for example the names of languages. If a list of languages to keep had only a
misspelt name, all documents would be dropped.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from typing import Any

from filters.code.languages import tables
from filters.code.steps import AllowedLicence, CodeFiles
from filters.language.codes import LANGUAGES
from filters.language.detect import Language
from filters.wikitext.article import WikiLanguages
from filters.wikitext.wiki_names import wiki_codes
from mixtures.setting_error import SettingError
from pipeline.settings.languages import meant_language
from pipeline.sources.c4 import C4Reader
from pipeline.sources.source import Source
from pipeline.sources.stack_exchange.answers import AnswerJoin
from pipeline.sources.stack_exchange.sites import site_of
from tokenizer.did_you_mean import or_list


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WITH_SCRIPT = re.compile(r"[a-z]{2,3}_[A-Z][a-z]{3}(?:_\w+)?")
MC4_LANGUAGES = LANGUAGES | _names("""
    bg-Latn el-Latn fil ha haw hi-Latn hmn ig iw ja-Latn mi ny ru-Latn sm sn st und xh zh-Latn zu
""")
"""The language codes that name the parts of published mC4."""
LICENCES = _names("""
    0bsd afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 blueoak-1.0.0 bsd-2-clause bsd-2-clause-patent bsd-3-clause
    bsd-3-clause-clear bsd-4-clause bsl-1.0 cc-by-4.0 cc-by-sa-4.0 cc0-1.0 cecill-2.1 cern-ohl-p-2.0 cern-ohl-s-2.0
    cern-ohl-w-2.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 gfdl-1.3 gpl-2.0 gpl-3.0 isc lgpl-2.1 lgpl-3.0
    lppl-1.3c mit mit-0 mpl-2.0 ms-pl ms-rl mulanpsl-2.0 ncsa odbl-1.0 ofl-1.1 osl-3.0 postgresql unlicense upl-1.0
    vim wtfpl zlib
""")
"""The names that GitHub's licence API gives to licences. The published table ``licenses`` contains these names."""


def check_names(source: Source) -> None:
    """Checks that the names in a source's settings exist (languages, wikis, licences, sites).

    Raises:
        ValueError: a name does not exist. The message suggests the most similar name that exists.
    """
    for part, values, where in _named(source):
        for field, is_empty_all, hint, exists in part:
            names = getattr(values, field)
            _check(f"sources.{source.name}.{where}.{field}", names, is_empty_all, hint, exists)


Check = tuple[str, bool, Callable[[str], str], Callable[[str], bool]]
"""A tuple of four values: the name of the field; True if an empty list means all names; a function that takes a name
that does not exist and returns the end of the message; and a function that takes a name and returns True if it exists.
"""


def _named(source: Source) -> Iterator[tuple[tuple[Check, ...], Any, str]]:
    checks: dict[type, tuple[Check, ...]] = {
        WikiLanguages: (("wikis", False, _languages(wiki_codes()), wiki_codes().__contains__),),
        AllowedLicence: (("families", False, _names_of(LICENCES), _matches_a_licence),),
        CodeFiles: (("kept_languages", False, _names_of(tables().comments), tables().comments.__contains__),),
        C4Reader: (("published_language", False, _languages(MC4_LANGUAGES), MC4_LANGUAGES.__contains__),),
        AnswerJoin: (("sites", True, _write_the_host, lambda name: site_of(name) == name),),
    }
    parts = [("reader", source.reader), ("join", source.join), *((s.NAME, s) for s in source.steps)]
    for where, values in parts:
        if isinstance(values, Language):
            exists = functools.partial(_may_be_a_language, values)
            hint = _languages(LANGUAGES)
            yield (("languages", True, hint, exists), ("min_scores", True, hint, exists)), values, where
        for kind, part in checks.items():
            if isinstance(values, kind):
                yield part, values, where


def _languages(known: Collection[str]) -> Callable[[str], str]:
    return functools.partial(meant_language, known=known)


def _names_of(known: Collection[str]) -> Callable[[str], str]:
    return functools.partial(or_list, known=sorted(known))


def _write_the_host(name: str) -> str:
    return "; write the host, math.stackexchange.com for example"


def _may_be_a_language(step: Language, name: str) -> bool:
    """True if a name can be the name of a language. The name can be a language of the model lid.176, or a new name that
    the setting ``renames`` gives to a language. It can also be a code with a script, such as ``eng_Latn``, because
    other models have such names.

    When the run has found its model, a further check compares the name with the labels of this model.
    """
    return name in LANGUAGES or name in step.renames.values() or _WITH_SCRIPT.fullmatch(name) is not None


def _matches_a_licence(pattern: str) -> bool:
    return any(fnmatchcase(licence, pattern) for licence in LICENCES)


def _check(
    where: str, names: Any, is_empty_all: bool, hint: Callable[[str], str], exists: Callable[[str], bool]
) -> None:
    if names is None:
        return
    given = (names,) if isinstance(names, str) else names
    if not given and not is_empty_all:
        message = f"{where} is empty: nothing would be kept; name at least one, or leave the setting out"
        raise SettingError(message, where)
    for name in given:
        if not isinstance(name, str):
            message = f"{where} must be names, not {name!r}; YAML reads `no` as false: put it in quotes"
            raise SettingError(message, where)
        if not exists(name):
            raise SettingError(f"{where}: {name!r} is not known{hint(name)}", where)
