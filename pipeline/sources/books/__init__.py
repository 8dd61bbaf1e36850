"""Books: reads plain text files, archives of text files, and JSON lines.

    .txt, or .zip and .tar -> archives: members -> text_and_header: text, header -> reader: one document per book
    .jsonl: rows with a text -> reader: one document per book

- ``reader``: the reader, the steps and the source.
- ``archives``: yields the members of a zip or tar, with bounds on their size.
- ``zip_methods``: unpacks one member of a zip by its compression method, with a bound on its size.
- ``chunks``: splits large archives and files, so that many tasks can read them.
- ``text_and_header``: decodes a book, and reads title, author and language from its header.

>>> from pipeline.sources import SOURCES
>>> SOURCES["books"].reader.knows("pg19/train/10.txt")
True
"""
