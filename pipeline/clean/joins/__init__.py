"""Contains the joins. A join makes one document from several records.

    records -> grouped by key -> documents -> the first segment of the source

- ``answers``: groups Stack Exchange's posts by question. The texts are shuffled.
- ``kind``, ``table``: the interface of a join, and the table that maps settings to code.
- ``licences``: finds the path and the licence of each of GitHub's contents. The texts are not shuffled.

>>> from pipeline.sources import SOURCES
>>> [name for name, source in SOURCES.items() if source.join]
['github', 'stack_exchange']
"""
