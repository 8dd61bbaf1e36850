"""Lists the languages of lid.176 by code, and finds the code of a language by another name, such as ``German``."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

_TABLE = """
af afr|Afrikaans; als gsw|Alemannic; am amh|Amharic; an arg|Aragonese; ar ara|Arabic; arz Egyptian Arabic; as
asm|Assamese; ast Asturian; av ava|Avar|Avaric; az aze|Azerbaijani; azb South Azerbaijani; ba bak|Bashkir; bar
Bavarian; bcl Central Bikol; be bel|Belarusian; bg bul|Bulgarian; bh bih|Bihari; bn ben|Bengali|Bangla; bo
bod|tib|Tibetan; bpy Bishnupriya; br bre|Breton; bs bos|Bosnian; bxr Buryat; ca cat|Catalan; cbk Chavacano; ce
che|Chechen; ceb Cebuano; ckb Central Kurdish|Sorani; co cos|Corsican; cs ces|cze|Czech; cv chv|Chuvash; cy
cym|wel|Welsh; da dan|Danish; de deu|ger|German|Deutsch; diq Zazaki|Dimli; dsb Lower Sorbian; dty Dotyali; dv
div|Divehi|Dhivehi; el ell|gre|Greek; eml Emilian-Romagnol; en eng|English; eo epo|Esperanto; es
spa|Spanish|Castilian; et est|Estonian; eu eus|baq|Basque; fa fas|per|Persian|Farsi; fi fin|Finnish; fr
fra|fre|French; frr North Frisian; fy fry|West Frisian|Frisian; ga gle|Irish; gd gla|Scottish Gaelic|Gaelic; gl
glg|Galician; gn grn|Guarani; gom Goan Konkani|Konkani; gu guj|Gujarati; gv glv|Manx; he heb|Hebrew; hi hin|Hindi; hif
Fiji Hindi; hr hrv|scr|Croatian; hsb Upper Sorbian; ht hat|Haitian|Haitian Creole; hu hun|Hungarian; hy
hye|arm|Armenian; ia ina|Interlingua; id ind|Indonesian; ie ile|Interlingue|Occidental; ilo Ilocano|Iloko; io ido|Ido;
is isl|ice|Icelandic; it ita|Italian; ja jpn|Japanese; jbo Lojban; jv jav|Javanese; ka kat|geo|Georgian; kk
kaz|Kazakh; km khm|Khmer; kn kan|Kannada; ko kor|Korean; krc Karachay-Balkar; ku kur|Kurdish; kv kom|Komi; kw
cor|Cornish; ky kir|Kyrgyz|Kirghiz; la lat|Latin; lb ltz|Luxembourgish; lez Lezgian|Lezghian; li
lim|Limburgish|Limburgan; lmo Lombard; lo lao|Lao; lrc Northern Luri; lt lit|Lithuanian; lv lav|Latvian; mai Maithili;
mg mlg|Malagasy; mhr Meadow Mari; min Minangkabau; mk mkd|mac|Macedonian; ml mal|Malayalam; mn mon|Mongolian; mr
mar|Marathi; mrj Hill Mari; ms msa|may|Malay; mt mlt|Maltese; mwl Mirandese; my mya|bur|Burmese; myv Erzya; mzn
Mazanderani; nah Nahuatl; nap Neapolitan; nds Low German|Low Saxon; ne nep|Nepali; new Newari|Newar; nl
nld|dut|Dutch|Flemish; nn nno|Nynorsk|Norwegian Nynorsk; no nor|nob|Norwegian|Bokmål; oc oci|Occitan; or
ori|ory|Odia|Oriya; os oss|Ossetian|Ossetic; pa pan|Punjabi|Panjabi; pam Pampanga|Kapampangan; pfl Palatine German; pl
pol|Polish; pms Piedmontese; pnb Western Punjabi; ps pus|Pashto; pt por|Portuguese; qu que|Quechua; rm roh|Romansh; ro
ron|rum|Romanian; ru rus|Russian; rue Rusyn; sa san|Sanskrit; sah Yakut|Sakha; sc srd|Sardinian; scn Sicilian; sco
Scots; sd snd|Sindhi; sh hbs|Serbo-Croatian; si sin|Sinhala|Sinhalese; sk slk|slo|Slovak; sl slv|Slovenian|Slovene; so
som|Somali; sq sqi|alb|Albanian; sr srp|Serbian; su sun|Sundanese; sv swe|Swedish; sw swa|Swahili; ta tam|Tamil; te
tel|Telugu; tg tgk|Tajik; th tha|Thai; tk tuk|Turkmen; tl tgl|fil|Tagalog|Filipino; tr tur|Turkish; tt tat|Tatar; tyv
Tuvan|Tuvinian; ug uig|Uyghur|Uighur; uk ukr|Ukrainian; ur urd|Urdu; uz uzb|Uzbek; vec Venetian; vep Veps; vi
vie|Vietnamese; vls West Flemish; vo vol|Volapük; wa wln|Walloon; war Waray; wuu Wu; xal Kalmyk; xmf Mingrelian; yi
yid|Yiddish; yo yor|Yoruba; yue Cantonese; zh zho|chi|Chinese|Mandarin
"""
"""The languages of lid.176, separated by semicolons: the code that the model returns, and then the language's other
codes (ISO 639-2 and 639-3) and its English names."""
_COUNTRIES = {"cn": "zh", "cz": "cs", "dk": "da", "gb": "en", "gr": "el", "iw": "he", "jp": "ja", "kr": "ko",
              "nb": "no", "ua": "uk", "us": "en"}  # fmt: skip
"""Maps two letters that are often written in place of a language's code, such as a country's code, to this code."""
_REGION = re.compile(r"[-_]")


def _read() -> dict[str, tuple[str, ...]]:
    rows = (row.strip().partition(" ") for row in _TABLE.replace("\n", " ").split(";"))
    return {code: tuple(names.split("|")) for code, _, names in rows}


_NAMES: Mapping[str, tuple[str, ...]] = _read()
LANGUAGES = frozenset(_NAMES)
"""The language codes that fastText's models lid.176 return."""


@functools.cache
def codes_by_name() -> Mapping[str, str]:
    """Returns a mapping from other names of languages, in small letters, to their codes.

    >>> codes_by_name()["ger"], codes_by_name()["scottish gaelic"]
    ('de', 'gd')
    """
    return {name.casefold(): code for code, names in _NAMES.items() for name in names} | _COUNTRIES


def code_of(name: str) -> str:
    """Returns the code by which lid.176 names a language. Returns "" if the language is not known.

    A language can be given by its code, by a code of three letters, or by its English name. A script or a region may
    follow a code. Capital and small letters count as equal.

    >>> [code_of(name) for name in ("de", "ger", "deu_Latn", "German", "EN-us", "Klingon")]
    ['de', 'de', 'de', 'de', 'en', '']
    """
    folded = name.strip().casefold()
    codes = [one if one in LANGUAGES else codes_by_name().get(one, "") for one in (folded, _REGION.split(folded)[0])]
    return codes[0] or codes[1]
