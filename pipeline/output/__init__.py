"""The output folder: where everything is, what is complete, and who writes to it.

    --output DIR -> lock -> markers of finished stages -> manifest.json, written last

- ``paths``: the paths inside an output folder.
- ``markers``: records that a stage is complete, and for which settings.
- ``fingerprint``: identifies settings and data versions, without names of classes or fields.
- ``lock``: refuses a second run in the same folder.

>>> from pipeline.output.paths import Layout
>>> Layout("out").clean("books")
'out/clean/books'
"""
