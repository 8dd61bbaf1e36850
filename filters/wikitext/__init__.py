"""Wikitext to plain text, as a reader of the article sees it.

    wikitext -> protected_text -> tags -> templates, template_rules -> links -> line_layout -> text

- ``page``: the whole way from wikitext to text, and the step.
- ``article``: the steps that choose wikis and drop pages without prose.
- ``protected_text``: sets aside what the parser must not look into, such as code and formulas.
- ``tags``: HTML and extension tags.
- ``templates``, ``template_rules``: templates that carry words keep them; all others are removed.
- ``links``: links keep their words; pictures and categories are removed.
- ``line_layout``: headings, lists, emphasis, and the sections at the end.
- ``cited_urls``: lists the addresses that a page cites.
- ``wiki_names``: names that differ from one Wikipedia to the next.
- ``template_call``, ``template_spans``, ``template_families``: where templates are, their arguments, their names.
- ``measure_rules``, ``number_syntax``: measures, numbers and dates as each wiki writes them.
- ``line_words``, ``variants``: words of one line, and language variants ``-{...}-``.
- ``section_prose``: sections of prose under a heading that usually heads a list of books or notes.
- ``italian_biography``: the first sentence of the Italian wiki's biographies.

>>> from filters.wikitext.page import wikitext_to_text
>>> from filters.wikitext.wiki_names import syntax
>>> wikitext_to_text("A '''tide''' is the [[Sea|sea]]'s rise.<ref>Moon.</ref>", names=syntax("en"))
"A tide is the sea's rise."
"""
