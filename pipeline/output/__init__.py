"""Manages the output folder: the paths in it, which stages are complete, and which run may write to it.

    --output DIR -> lock -> markers of finished stages -> manifest.json, written last

- ``paths``: the paths inside an output folder.
- ``markers``: record that a stage is complete, and with which settings it was made.
- ``fingerprint``: identifies settings and data versions, without names of classes or fields.
- ``lock``: refuses a second run in the same folder.

>>> from pipeline.output.paths import Layout
>>> Layout("out").clean("books")
'out/clean/books'
"""
