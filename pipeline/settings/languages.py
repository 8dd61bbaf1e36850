"""Suggests the language that a user meant, for messages about a language that does not exist."""

from __future__ import annotations

from collections.abc import Collection

from filters.language.codes import LANGUAGES, code_of, codes_by_name
from tokenizer.did_you_mean import NUM_LISTED, did_you_mean, nearest, or_list

_EXAMPLES = "languages are named by code, such as en, de, fr and zh"


def meant_language(name: str, known: Collection[str]) -> str:
    """Returns the end of a message that says that a language does not exist. If the language that the user meant can be
    guessed, the text suggests it. Otherwise it lists the languages that exist, or says how languages are named.

    Args:
        name: the name that the user gave.
        known: the names that exist, such as the labels of a model.

    >>> meant_language("ger", LANGUAGES), meant_language("Germn", LANGUAGES)
    ('; did you mean de?', '; did you mean de?')
    >>> meant_language("klingon", LANGUAGES), meant_language("fr", ["de", "en"])
    ('; languages are named by code, such as en, de, fr and zh', '; there are: de, en')
    """
    code = code_of(name.removesuffix("wiki")) or codes_by_name().get(_nearest_name(name), "")
    if code != name and code in known:
        return f"; did you mean {code}?"
    if len(known) <= NUM_LISTED:
        return or_list(name, sorted(known))
    return did_you_mean(name, sorted(known)) or f"; {_EXAMPLES}"


def _nearest_name(name: str) -> str:
    """Returns the most similar name of a language. Codes are too short for that, so they are left out."""
    return nearest(name, (one for one in codes_by_name() if len(one) > 3), cutoff=0.8)


def check_codes(flag: str, names: Collection[str]) -> None:
    """Checks that languages are named by code, such as ``de``.

    An unknown name, such as ``xyz``, is accepted, because the user's model may have a language with this code.

    Raises:
        ValueError: a known language is named in another way than by its code, for example ``german`` or ``ger``.

    >>> check_codes("--language", ["de", "xyz"])
    >>> check_codes("--language", ["german"])
    Traceback (most recent call last):
        ...
    ValueError: --language german: languages are named by code; did you mean de?
    """
    for name in names:
        code = code_of(name)
        if name not in LANGUAGES and code:
            raise ValueError(f"{flag} {name}: languages are named by code; did you mean {code}?")
