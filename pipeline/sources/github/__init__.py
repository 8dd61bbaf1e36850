"""GitHub: reads BigQuery's exports of contents, files and licences.

    JSON | Parquet | avro -> tables: rows -> reader: documents and rows for the join

- ``reader``: the reader, the choice among files with equal content, the steps and the source.
- ``tables``: determines which table a file holds, and yields its rows.
- ``avro``: reads Avro files block by block.

>>> from pipeline.sources.github.reader import choose_copy
>>> choose_copy([("b/b", "x.py", "gpl-3.0"), ("c/c", "x.py", "mit")])
('c/c', 'x.py', 'mit')
"""
