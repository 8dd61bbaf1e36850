"""Converts wikitext to plain text, as a reader of the article sees it.

    wikitext -> protected_text -> tags -> templates, template_rules -> links -> line_layout -> text

- ``page``: converts a page with all parts below; contains the step of the pipeline that does this.
- ``article``: contains the steps that choose wikis and drop pages without prose.
- ``protected_text``: sets aside text that must not be parsed, such as code and formulas.
- ``tags``: resolves HTML and extension tags.
- ``templates``, ``template_rules``: replace templates by the words that they show, and remove templates without words.
- ``links``: replaces links by their words; removes pictures and categories.
- ``line_layout``: lays out headings, lists, emphasis, and the sections at the end.
- ``cited_urls``: lists the addresses that a page cites.
- ``wiki_names``: contains the names that differ between Wikipedias.
- ``template_call``, ``template_spans``, ``template_families``: find templates, their arguments and what they show.
- ``measure_rules``, ``number_syntax``: write measures, numbers and dates as each wiki does.
- ``line_words``, ``variants``: clean the words of one line, and resolve language variants ``-{...}-``.
- ``section_prose``: recognises sections of prose whose heading usually heads a list of books or notes.
- ``italian_biography``: writes the first sentence of the Italian wiki's biographies.

>>> from filters.wikitext.page import wikitext_to_text
>>> from filters.wikitext.wiki_names import syntax
>>> wikitext_to_text("A '''tide''' is the [[Sea|sea]]'s rise.<ref>Moon.</ref>", names=syntax("en"))
"A tide is the sea's rise."
"""
