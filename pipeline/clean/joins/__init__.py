"""The joins: they make one document of records that are in different files of a source.

    answers.py    Stack Exchange: a question with its answers
    licences.py   GitHub: a file's content with its repository, path and licence
    kind.py       the interface of a join
    table.py      the table: which class runs which join of a source

The rules of a join, without Beam, are in the folder of its source.

>>> from pipeline.clean.joins.table import graph_of
>>> from pipeline.sources import SOURCES
>>> type(graph_of(SOURCES["github"].join)).__name__
'LicencesGraph'
"""
