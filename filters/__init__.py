"""Contains the filters and edits of documents, as pure functions of columns. They use neither Beam nor files, and
neither a clock nor random numbers.

    record batch -> step.apply -> Outcome: edited columns, verdicts (reason to drop, or null), signals (measurements)

Read ``step.py`` first, then ``rules.py``.

- ``step``: the base class of all filters, and the class of their results.
- ``rules``: the class of a rule. A rule is a limit on a signal, and cites its source.
- ``ccnet``, ``c4``, ``code``, ``books``: the rules for CommonCrawl, C4, GitHub and books.
- ``near``: finds near-duplicate documents of any source.
- ``rule_sets``: the rules of Gopher and FineWeb, for any source.
- ``wikitext``, ``latex``, ``html``: conversion of markup to text.
- ``language``: language identification.
- ``reference``: the classifier of web pages. It recognises pages that are similar to the pages cited by Wikipedia.
- ``decontaminate``: the search for items of evaluation sets in documents.
- ``url_lists``: the search for URLs on lists of hosts and addresses.
- ``exclude``: drops documents that a takedown or opt-out names.
- ``urls``: recognises different spellings of one URL.
- ``data``: tables that the rules read when they are imported.
- ``compiled``: compiles the few loops that numpy cannot express in one pass.
- ``text_column``: the bytes and the line ends of a column of texts.
- ``decoding``, ``encoding_guess``, ``encoding_labels``: decoding of bytes to text, the same for all sources.

>>> import pyarrow as pa
>>> from filters.ccnet.length import MinLength
>>> outcome = MinLength(min_chars=10).apply(pa.record_batch({"text": ["short", "long enough"]}), models={})
>>> outcome.verdict.to_pylist(), outcome.detail.to_pylist()
(['too_short', None], ['5', None])
"""
