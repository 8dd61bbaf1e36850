"""Reads corpora that a configuration file declares. A corpus can have any columns, in Parquet, JSON lines or Arrow
files.

    YAML -> declare: Source -> reader: files, units -> rows -> values: text, id, columns -> documents | Rejected

- ``declare``: makes a :class:`pipeline.sources.source.Source` from a declaration. Read this module first.
- ``corpus_files``: reads the globs of a declaration.
- ``reader``: converts rows to documents, and checks the files before a run.
- ``rows``: reads the rows of files in all supported formats.
- ``columns``: finds values and types by paths into nested rows and schemas.
- ``values``: converts values to the text, the id and the columns of a document.

>>> from pipeline.sources.corpora.declare import corpus_source
>>> source = corpus_source("wiki", {"files": "wiki/*.parquet", "columns": {"text": "body", "url": "meta.url"}})
>>> [step.NAME for step in source.steps], source.reader.knows("wiki/00.parquet"), list(source.reader.COLUMNS)
(['duplicate_id'], True, ['url'])
"""
