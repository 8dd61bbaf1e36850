"""Compares wikitext with cleaned text, and judges whether templates inside sentences kept their words. Imports nothing
of the project.

A sentence is a line of prose or a list item with at least `MIN_WORDS` words outside of templates. For each template in
a sentence, the judge searches the cleaned text for the words before and after the template. If these words are next to
each other in the cleaned text, the template's words are lost. Templates that show nothing to a reader (:data:`SILENT`:
notes, citations, requests for sources, anchors, icons) are not judged. If the words before and after a template are not
found, the template counts as not judged.

Run: ``python benchmarks/judges/wikipedia_templates.py CLEAN_FOLDER DUMP...`` (columns ``page_id language text``).
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

MIN_WORDS = 4
_CONTEXT_WORDS = 3
_MAX_GAP_CHARS = 400
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_PAIRED = (
    "ref|gallery|timeline|imagemap|table|references|math|chem|score|syntaxhighlight|source|pre|nowiki|code|hiero|graph"
)
_GONE = re.compile(rf"<({_PAIRED})\b[^<>]*?/>|<({_PAIRED})\b[^<>]*>.*?</\2\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][a-z0-9]*\b[^<>]*>", re.IGNORECASE)
_LINK = re.compile(r"\[\[(?:[^\[\]|{}]*\|)?([^\[\]|{}]*)\]\]")
_COLON_LINK = re.compile(r"\[\[[^\[\]|{}:]{2,20}:[^\[\]{}]*\]\]")
_OUTER_LINK = re.compile(r"\[(?:https?:)?//[^\s\]{}]*([^\]\n{}]*)\]")
_ENTITY = re.compile(r"&#?\w+;")
_NUMBERED = re.compile(r"\s*[0-9]+\s*=")
_NAMED = re.compile(r"\s*[^\[\]{}<>\n\"'=]{1,60}=")
_NAME = re.compile(r"\s*([^|{}<>\n]*)")
_MARK = "\x00"
_LINE_END = " ¶ "

SILENT = re.compile(
    r"""
    sfn.* | efn.* | refn | r | rp | ref.* | cite.* | citation.* | harv.* | note.* | notetag | nb | cn | fact |
    fakt.* | dn | fcn | page.needed | better.source.* | verify.* | vague | who.* | when | which | what | where |
    whom | by.whom | how | clarif.* | according.to.whom | dubious.* | disputed.* | original.research.* | or |
    weasel.* | peacock.* | lopsided.* | citation.needed.* | unreliable.* | failed.verification | dead.link |
    webarchive | full.* | update.* | disambiguation.needed | anchor.* | flag(icon|deco).* | coord.* | audio.* |
    listen.* | main.* | see.also | clear | - | pb | reflist | inflation/.* | zwj | zwnj | shy | wbr | thinsp |
    hsp | 0 | pad | fontcolor | resize | visible.anchor | pp.* | use..* | short.* | infobox.* | navbox.* |
    commons.* | authority.* | defaultsort.* | toc.* | multiple.image | image.* | file.* | gallery.* | isbn.* |
    issn.* | doi.* | oclc.* | pmid.* | wikidata.* | wiktionary.* | icon.* | \#.* | .*inline | (div.)?col.* |
    year.missing | definition | request.quotation | engvar.* | facebook | twitter | official.* | google.buch |
    bnf | actualizar | prononciation | wayback | webcitation | bäst.före | не.аи | fs..* | politics.of.* |
    .*.navbox | lb[bc] | fontaine.* | dablink | other.* | about | redirect.* | for | hatnote | further.*
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Matches names of templates that show no word of a sentence. The names are those of the English wiki and those that
several wikis share.
"""
SILENT_BY_LANGUAGE = {
    "bg": (r"ref-.* ibid няма_източник.* източник\? кога кой икона флагче.* пояснение мъниче.* основна виж "),
    "ca": (
        r"cal_citació citar_ref citar.* ref-.* bandera.* icona.* cc principal.* sfn.* on\? qui\? quan\? on qui "
        r"quan efn-.* webref "
    ),
    "cs": (
        r"doplňte_zdroj kdo.* kdy.* fakt.* chybí.* vlajka poznámka.* pozn.* citace.* citováno.* viz "
        r"nedostupný_zdroj proč\? jak\? který\? "
    ),
    "da": (r"kilde_mangler hvornår hvem kilde dødt_link flagikon kilde-.* bør bogkilde "),
    "de": (
        r"sfn belege.* quelle.* anker nowiki internetquelle literatur fn.* fnbox fnz dead_link okina.* "
        r"toter_link ort?geo coordinate audio hörbeispiel flagicon.* hauptartikel siehe_auch marker ref "
        r"refname zr "
    ),
    "es": (
        r"cita_requerida cr demostrar ¿quién\? ¿cuándo\? cuando quien ¿cuál\? refn.* ancla bandera icono.* "
        r"harvnp harvsp cita_libro verificar aclarar dudoso añadir_referencias aclaración_requerida ¿dónde\? "
        r"referencia_vacía ref-.* an ap vt véase.* "
    ),
    "fr": (
        r"note référence.* réf.* refsou refnec sfn ancre harvsp.* ouvrage article lien_web quoi qui où quand "
        r"combien comment lequel pourquoi précisez source.* drapeau.* icône.* en de es it ru la ja nl ar pt el "
        r"lire_en_ligne rp rappel coord clr notes préciser évasif date_à_préciser préciser_date vérifier.* "
        r"loupe article_détaillé voir.* "
    ),
    "hr": (
        r"nedostaje_izvor izvor tko.* kada.* citat.*needed zastava.* citiranje.* bez_izvora ref-.* "
        r"mrtva_poveznica fusnota "
    ),
    "hu": (
        r"forrás refhely refcím mikor ki hol zászló.* sírhely citweb cite.* hely hivatkozás.* rjegyzet "
        r"jegyzet.* wd halott_link opcit cithely "
    ),
    "it": (
        r"senza_fonte cn chiarire quando chi bandiera ancora cita cita_libro cita_web nota nota_disambigua "
        r"efn.* dubbio collegamento_interrotto citazione_necessaria vedi_anche torna_a audio link_audio rif f "
        r"w "
    ),
    "nl": (
        r"bron\? feit wanneer\? wie\? wie wat\? ref refnl citeer.* dode_link vlag.* zie.* hoofdartikel.* "
        r"waar\? noot appendix bronvermelding.* aut "
    ),
    "pl": (
        r"fakt r u odn potrzebny_przypis kto kiedy kiedy\? flaga przypis.* uwaga cytuj.* jaki według_kogo "
        r"przypisy.* kto\? jaki\? martwy_link koordynaty osobny_artykuł zobacz_też dopracować fakty "
    ),
    "pt": (
        r"carece_de_fontes.* quem quando onde qual quem\? nota_de_rodapé citar.* bandeira flagicon "
        r"ligação_inativa nre nota.* link dn citation_needed harvref artigo_principal esclarecer ve[rj]_.* "
        r"âncora "
    ),
    "ro": (
        r"necesită_citare necesită.* ct când cine fapt care unde clarif.* sfn.* steag.* drapel.* nc "
        r"articol_principal legătură_nefuncțională ref-.* nec.*cit.* cn cc "
    ),
    "ru": (
        r"source-ref нет_аи.* аи источник.* когда\?? кто\?? где\?? какой\?? уточнить.* что\?? sfn.* sfn0 "
        r"якорь.* флаг.* cite.* проверить.* нет_ссылок недоступная_ссылка.* книга статья публикация переход "
        r"значимость.* неавторитетный_источник.* достоверность.* ref-.* прояснить подст:.* прим\.? примечание "
        r"so сфн основная_статья главная спорно кому сколько насколько почему конкретно текст-примечание "
        r"ref[+-].* "
    ),
    "sl": (
        r"navedi.* kdo kdaj citat.*needed ikonazastave zastava.* brez_vira op glavni_članek mrtva_povezava "
        r"ref-.* dejstvo "
    ),
    "sr": (
        r"чињеница чп ко када кад застава.* извор напомена нејасно мртва_веза реф-.* недостаје_извор.* "
        r"cinjenica zid зас засник фус главни.* појасни кому види_још "
    ),
    "sv": (
        r"källa_behövs fakta när vem kb flaggbild sfn webbref bokref not refn död_länk förtydliga vilken vilka "
        r"uppgift tveksam huvudartikel se_även flaggikon icke?verifierad "
    ),
    "uk": (
        r"джерело.* хто\?? коли\?? де\?? який\?? fact sfn.* прапорець що якір cite.* ref-.* прапорці кому "
        r"недоступне.* статья книга стаття не_джерело аі немає_аі прояснити реф.* прим sfn0 "
    ),
}
"""Patterns for further silent templates on each wiki, with ``_`` for a space."""
_SILENT_OF = {
    code: re.compile("|".join(patterns.split()).replace("_", " "), re.IGNORECASE)
    for code, patterns in SILENT_BY_LANGUAGE.items()
}


@dataclass
class TemplateCount:
    """Counts the judged templates of one language."""

    num_words: int = 0
    num_uses: int = 0
    num_not_judged: int = 0
    num_lost_words: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


SIGNS = re.compile(
    r"""
    \W* | [ns]?\W*n?dash | sn?dashe? | [ns]?mdashb? | (en|em|spaced\ [en]*)\ ?dash | snds? | spnd | sp[ne]ndash | emdash
    | endash | esd | dash | bull | dot | middot | nbsp | spaces? | apostrophe | tiret | тире | absatz | br | break
    | crlf2? | eqm | okina | pi
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Matches names of templates that show only a sign, such as a dash. These templates are not judged, because this judge
compares words.
"""
COMPUTED = re.compile(
    r"""
    inflation.* | format\ price | age.* | metadaten.* | fldez | ewz | počet\ obyvatel | statistiek\ .* | население.*
    | formnum | currentyear | pop\ density
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Matches names of templates that show a number which the wiki computes or stores. The wikitext does not contain this
number.
"""


def is_silent(name: str, language: str) -> bool:
    """Returns True if the template shows no words that this judge could search for.

    >>> is_silent("Citation needed", "en"), is_silent("нет АИ", "ru"), is_silent("convert", "en")
    (True, True, False)
    """
    name = name.strip().replace("_", " ")
    of_wiki = _SILENT_OF.get(language)
    patterns = (SILENT, SIGNS, COMPUTED, *((of_wiki,) if of_wiki else ()))
    return any(pattern.fullmatch(name) for pattern in patterns)


def marked_templates(text: str) -> tuple[str, list[str]]:
    """Returns the text with a mark in place of each outermost template, and the templates' contents.

    >>> marked_templates("a {{b|{{c}}|}} d")
    ('a \\x000\\x00 d', ['b|{{c}}|'])
    """
    out: list[str] = []
    templates: list[str] = []
    depth = start = position = 0
    for match in re.finditer(r"\{\{|\}\}", text):
        if match[0] == "{{":
            if depth == 0:
                out.append(text[position : match.start()])
                start = match.end()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                out.append(f"{_MARK}{len(templates)}{_MARK}")
                templates.append(text[start : match.start()])
                position = match.end()
    out.append(text[position:] if depth == 0 else "")
    return "".join(out), templates


def argument_words(template: str) -> list[str]:
    """Returns the words in the unnamed arguments of a template. If templates are inside it, the words in their unnamed
    arguments are included.
    """
    flat = _LINK.sub(r"\1", _COLON_LINK.sub("", template)).replace("{{", "|").replace("}}", "|")
    words: list[str] = []
    for argument in flat.split("|")[1:]:
        if _NUMBERED.match(argument) or not _NAMED.match(argument):
            words += _WORD.findall(_NUMBERED.sub("", argument).casefold())
    return words


def _sentence_lines(wikitext: str) -> tuple[list[str], list[str]]:
    text = _ENTITY.sub(" ", _GONE.sub(" ", _COMMENT.sub("", wikitext)))
    text = re.sub(r"-\{(?:[A-Z]\|)?|\}-", "", text) if "-{" in text else text
    text, templates = marked_templates(text)
    text = re.sub(r"^[ \t:]*\{\|.*?(?:^[ \t:]*\|\}|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
    for _ in range(3):
        text = _COLON_LINK.sub(" ", text)
        text = _LINK.sub(r"\1", text)
    text = _TAG.sub(" ", _OUTER_LINK.sub(r"\1", text)).replace("''", "")
    return [line.strip() for line in text.split("\n") if line.strip() and line.strip()[0] not in "|!{="], templates


def judge_templates(count: TemplateCount, language: str, wikitext: str, text: str) -> None:
    """Judges the templates of one page, and adds the result to the counts of its language."""
    lines, templates = _sentence_lines(wikitext)
    shown = _LINE_END + _LINE_END.join(" ".join(_words(line)) for line in text.split("\n") if line.strip()) + _LINE_END
    count.num_words += len(_WORD.findall(text))
    for line in lines:
        pieces = re.split(r"\x00([0-9]+)\x00", line)
        if len(pieces) < 3 or sum(len(_words(piece)) for piece in pieces[::2]) < MIN_WORDS:
            continue
        runs: list[tuple[list[str], list[int], list[str]]] = []
        before: list[str] = []
        for index, piece in enumerate(pieces):
            if index % 2 == 0:
                words = _words(piece)
                if words and runs and not runs[-1][2]:
                    runs[-1][2].extend(words)
                before = words or before
            elif runs and not runs[-1][2]:
                runs[-1][1].append(int(piece))
            else:
                runs.append((before, [int(piece)], []))
        for run in runs:
            _judge_run(count, language, run, templates, shown)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _has_words(template: str, *, is_last: bool) -> bool:
    """Returns True if a template can show some of the words of its sentence.

    Returns False for boxes of several lines, pictures, and templates without ``|`` after a line's last word.
    """
    if "|" not in template:
        return not is_last
    return "\n|" not in template and bool(argument_words(template))


def _judge_run(
    count: TemplateCount, language: str, run: tuple[list[str], list[int], list[str]], templates: list[str], shown: str
) -> None:
    before, numbers, after = run
    names = [(_NAME.match(templates[number]) or ["", ""])[1].strip() for number in numbers]
    wanted = [
        (name, number)
        for name, number in zip(names, numbers, strict=True)
        if not is_silent(name, language) and _has_words(templates[number], is_last=not after)
    ]
    if not wanted:
        return
    count.num_uses += len(wanted)
    left = " " + " ".join(before[-_CONTEXT_WORDS:]) + " " if before else _LINE_END
    right = " " + " ".join(after[:_CONTEXT_WORDS]) + " " if after else _LINE_END
    filler = rf".{{0,{_MAX_GAP_CHARS}}}?" if before else rf"[^¶]{{0,{_MAX_GAP_CHARS}}}?(?: ¶)?"
    context = rf"(?={re.escape(left[:-1])}( {filler})??({re.escape(right)}))"
    gaps = [place[1] or "" for place in re.finditer(context, shown)]
    if not after:  # a quotation template's words are on the next line
        gaps += [shown[place.end(2) :][:_MAX_GAP_CHARS] for place in re.finditer(context, shown)]
    gaps = [gap.replace("¶", "").strip() for gap in gaps]
    if not gaps or (not before and not after):
        count.num_not_judged += len(wanted)
        return
    words_of = {number: argument_words(templates[number]) for _, number in wanted}
    is_shared = len(wanted) > 1 or not after
    losses = [
        [
            use
            for use in wanted
            if not gap or (is_shared and words_of[use[1]] and not any(word in gap for word in words_of[use[1]]))
        ]
        for gap in gaps
    ]
    for name, number in min(losses, key=len):
        name = name.replace("_", " ")
        count.lost[name] += 1
        count.num_lost_words += max(1, len(words_of[number]))
        count.examples.setdefault(name, f"{left.strip()} {{{{{templates[number][:100]}}}}} {right.strip()}")


def table(counts: dict[str, TemplateCount]) -> str:
    """Returns the counts as text, one line per language."""
    lines = ["language      words  uses in sentences  not judged  lost  lost words per 10,000"]
    for language, count in sorted(counts.items()):
        rate = 10_000 * count.num_lost_words / max(1, count.num_words)
        lines.append(
            f"{language:8}  {count.num_words:9}  {count.num_uses:17}  {count.num_not_judged:10}  "
            f"{count.lost.total():4}  {rate:10.2f}"
        )
    return "\n".join(lines)


def _page_judge() -> ModuleType:
    spec = importlib.util.spec_from_file_location("judge_of_pages", Path(__file__).parent / "wikipedia.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Judges a folder of cleaned documents against the dumps they came from."""
    import pyarrow.parquet as pq

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path)
    parser.add_argument("dumps", type=Path, nargs="+")
    args = parser.parse_args()
    cleaned = pq.read_table(args.clean, columns=["page_id", "language", "text"]).to_pylist()
    texts = {(row["language"], row["page_id"]): row["text"] for row in cleaned}
    counts: dict[str, TemplateCount] = defaultdict(TemplateCount)
    for dump in args.dumps:
        name = re.search(r"([a-z]+)wiki", dump.name)
        language = name[1] if name else "en"
        for page_id, _, wikitext in _page_judge().raw_pages(dump):
            if (language, page_id) in texts:
                judge_templates(counts[language], language, wikitext, texts[language, page_id])
    print(table(counts))
    for language, count in sorted(counts.items()):
        for name, number in count.lost.most_common(20):
            print(f"{language} {number:4} {name}: {count.examples[name]}")


if __name__ == "__main__":
    main()
