"""Rules about texts: filters and edits as pure functions of columns. No Beam, no files, no clock, no randomness.

    record batch -> step.apply -> Outcome: edited columns, verdicts (the reason to drop, or null), signals

Read ``step.py`` first, then ``rules.py``.

- ``step``: the base class of all filters, and what one returns.
- ``rules``: a limit on a signal, with its citation.
- ``ccnet``, ``c4``, ``code``, ``books``: the rules of CommonCrawl, C4, GitHub and books.
- ``near``: near-duplicate documents of any source.
- ``wikitext``, ``latex``, ``html``: markup to text.
- ``language``: language identification.
- ``reference``: the classifier of pages like those that Wikipedia cites.
- ``exclude``, ``urls``: documents that must not be in the output, and how addresses are compared.
- ``data``: tables that the rules read when they are imported.
- ``decoding``, ``encoding_guess``, ``encoding_labels``: one policy that decodes bytes to text, for all sources.

>>> import pyarrow as pa
>>> from filters.ccnet.length import MinLength
>>> outcome = MinLength(min_chars=10).apply(pa.record_batch({"text": ["short", "long enough"]}), models={})
>>> outcome.verdict.to_pylist(), outcome.detail.to_pylist()
(['too_short', None], ['5', None])
"""
