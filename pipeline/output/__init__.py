"""Manages the output folder: defines its paths, records which stages are complete, and locks it during a run.

    --output DIR -> lock -> markers of finished stages -> manifest.json, written last

- ``paths``: the paths inside an output folder.
- ``markers``: record that a stage of the run is complete, and with which settings it was made.
- ``fingerprint``: computes a hash of settings and data versions. If a class or a field is renamed, the hash stays the
  same.
- ``lock``: refuses a second run in the same folder.

>>> from pipeline.output.paths import Layout
>>> Layout("out").clean("books")
'out/clean/books'
"""
