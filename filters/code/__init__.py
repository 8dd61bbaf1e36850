"""Contains the rules for source files.

    path, text -> languages -> steps: licence, kind of file, licence header, line statistics

- ``steps``: the steps of the source GitHub.
- ``languages``: determines the language of a file. Also recognises files that are vendored, generated or data.
- ``licence_header``: removes comments about copyright or licence from the head of a file.
- ``comments``: finds the comments at the head of a file, in the syntax of its language.
- ``comment_lines``: splits a comment into sentences. ``licence_words``: finds the sentences that state copyright or
  licence.
- ``alphanumeric``: counts letters and digits.

>>> from filters.code.languages import language_of
>>> language_of("src/tide.rs"), language_of("Makefile"), language_of("photo.jpeg")
('Rust', 'Makefile', None)
"""
