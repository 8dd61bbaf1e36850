"""Reads and writes files on this machine and in object stores, and reads files on web servers. A path or URL identifies
each file.

    path -> files: Beam's file systems | http_files | store_files, s3_clients -> seekable streams
    bytes -> spill: appended to a file -> Blob -> the same bytes on another worker

- ``files``: opens, writes, renames and deletes files.
- ``http_files``: reads files over HTTP, with retries and resumed transfers.
- ``store_files``: reads files in stores. Raises different errors if a store fails and if a file is damaged.
- ``s3_clients``: keeps one S3 client per process.
- ``spill``: appends bytes to large files, returns a reference to them, and reads them by this reference.
- ``parquet_files``: reads Parquet files that a run wrote, and checks the checksum of every page.
- ``checked``: writes work files with checksums, and checks them when a later job or run reads the files.

>>> import tempfile
>>> from pipeline.files.spill import SpillFile
>>> with tempfile.TemporaryDirectory() as folder:
...     spill = SpillFile(folder)
...     blob = spill.append(b"a batch")
...     spill.close()
...     blob.read()
b'a batch'
"""
