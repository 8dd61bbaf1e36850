"""Stack Exchange: reads dumps of questions and answers.

    .7z -> seven_zip: Posts.xml -> rows -> reader: posts -> answers: one document per question

- ``reader``: the reader, the steps and the source.
- ``seven_zip``: streams Posts.xml out of an archive. ``rows``: splits it into rows.
- ``sites``: determines the site of a dump, and chooses the largest sites.
- ``answers``: defines the rules of the join, which makes one text from a question and its answers.
- ``bounded_unpackers``: unpackers whose output is limited. ``ppmd_process``: unpacks PPMd in a separate process.
- ``utf16``: reads a ``Posts.xml`` in UTF-16.

>>> from pipeline.sources import SOURCES
>>> SOURCES["stack_exchange"].reader.knows("dumps/unix.stackexchange.com.7z")
True
"""
