"""Corpora that a configuration file declares: any columns of Parquet, JSON lines or Arrow, read without code.

    YAML -> declare: Source -> reader: files, units -> rows -> values: text, id, columns -> documents | Rejected

- ``declare``: makes a :class:`pipeline.sources.source.Source` of a declaration; read it first.
- ``reader``: the reader, and what of the files is checked before a run.
- ``rows``: the rows of each form of file, one after another.
- ``columns``: paths into nested rows and schemas.
- ``values``: values of other types as the text, the id and the columns of a document.

>>> from pipeline.sources.corpora.declare import corpus_source
>>> source = corpus_source("wiki", {"files": "wiki/*.parquet", "columns": {"text": "body", "url": "meta.url"}})
>>> [step.NAME for step in source.steps], source.reader.knows("wiki/00.parquet"), list(source.reader.COLUMNS)
(['duplicate_id'], True, ['url'])
"""
