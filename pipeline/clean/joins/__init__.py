"""Contains the joins. A join makes one document from several records.

    records -> grouped by key -> documents -> the first segment of the source

- ``answers``: groups the posts of Stack Exchange by question. Workers exchange the texts.
- ``kind``, ``table``: the interface of a join, and the table that maps settings to code.
- ``licences``: finds a path and a licence for each text of GitHub's files. Workers do not exchange the texts.

These sources have a join:

>>> from pipeline.sources import SOURCES
>>> [name for name, source in SOURCES.items() if source.join]
['github', 'stack_exchange']
"""
