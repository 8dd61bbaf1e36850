"""Writes the first sentence of a biography on the Italian Wikipedia.

Italian editors do not type this sentence. They give its facts to the template ``{{Bio}}``, and the template shows it.
"""

from __future__ import annotations

import re

from filters.wikitext.template_call import TemplateCall

_UNO = re.compile(r"(?:s[^aeiouàèéìòùh]|z|gn|ps|pn|x|y|sh)", re.IGNORECASE)
_VOWEL = re.compile(r"[aeiouàèéìòù]", re.IGNORECASE)


def biography_it(call: TemplateCall) -> str:
    """Returns the sentence that ``{{Bio}}`` shows: name, places and dates of birth and death, occupation, nationality.

    Source: the template's documentation on the Italian wiki.

    >>> fields = {"nome": "Ada", "cognome": "Negri", "sesso": "F", "luogonascita": "Lodi", "annonascita": "1870"}
    >>> fields |= {"giornomesenascita": "3 febbraio", "attività": "poetessa", "nazionalità": "italiana"}
    >>> biography_it(TemplateCall([], fields, "it"))
    'Ada Negri (Lodi, 3 febbraio 1870) è una poetessa italiana.'
    """
    fields = call.named
    title, first, last = (fields.get(name, "") for name in ("titolo", "nome", "cognome"))
    name = " ".join(part for part in (title, first, last) if part)
    if not name:
        return ""
    if fields.get("postcognomevirgola"):
        name += f", {fields['postcognomevirgola']}"
    elif fields.get("postcognome"):
        name += f" {fields['postcognome']}"
    born, died = _place_and_date(call, "nascita"), _place_and_date(call, "morte")
    life = "; ".join(
        part for part in (fields.get("predata", ""), " – ".join(part for part in (born, died) if part)) if part
    )
    head = f"{name} ({life})" if life else name
    end = fields.get("fineincipit", "")
    if end:
        return f"{head} {end}{'' if end.endswith(('.', ':')) else '.'}"
    occupation = _occupation(call)
    if not occupation:
        return f"{head}."
    is_female = fields.get("sesso", "").upper() == "F"
    is_dead = bool(died and not _is_unknown(died))
    verb = ("è stata" if is_female else "è stato") if is_dead else "è"
    sentence = f"{head} {verb} {_article(occupation, is_female=is_female)}{occupation}"
    for field in ("nazionalità", "nazionalitànaturalizzato", "postnazionalità"):
        value = fields.get(field, "")
        sentence += f"{'' if value[:1] in ',.;' else ' '}{value}" if value else ""
    return sentence if sentence.endswith(".") or fields.get("punto", "").lower() == "no" else f"{sentence}."


def _place_and_date(call: TemplateCall, event: str) -> str:
    fields = call.named
    place = fields.get(f"luogo{event}", "") or fields.get(f"luogo{event}alt", "")
    date = " ".join(part for part in (fields.get(f"giornomese{event}", ""), fields.get(f"anno{event}", "")) if part)
    return ", ".join(part for part in (fields.get(f"luogo{event}alt", "") or place, date) if part)


def _is_unknown(words: str) -> bool:
    return not re.search(r"\w", words)


def _occupation(call: TemplateCall) -> str:
    fields = call.named
    parts = [fields[name] for name in ("attività", "attività2", "attività3") if fields.get(name)]
    if not parts:
        return ""
    other = fields.get("attivitàaltre", "")
    joined = ", ".join(parts) if other else " e ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return f"{joined}{other if other[:1] in ',.;' else ' ' + other}" if other else joined


def _article(word: str, *, is_female: bool) -> str:
    if is_female:
        return "un'" if _VOWEL.match(word) else "una "
    return "uno " if _UNO.match(word) else "un "
