"""The joins that make one document of several records.

    records -> grouped by key -> documents -> the first segment of the source

- ``answers``: Stack Exchange's posts are grouped by question. Texts travel.
- ``kind``, ``table``: the interface of a join, and the table that maps settings to code.
- ``licences``: GitHub's contents get their file and their repository's licence. Texts do not travel.

>>> from pipeline.sources import SOURCES
>>> [name for name, source in SOURCES.items() if source.join]
['github', 'stack_exchange']
"""
