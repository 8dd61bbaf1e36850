"""Phase 1: raw files become ``clean/``, ``dropped/`` and ``stats/``.

    units -> passes: read, run steps, spill -> dedup: keys travel, verdicts come back -> passes: apply -> clean/
                   \\-> ledger: counts and dropped rows -> finish, write_dropped -> stats/, dropped/

On the driver:

- ``phase``: decides which sources must run, and whether their input was fit to use.
- ``source_plan``, ``job``, ``sizing``: what is known about a source, its job, and the number of parts and buckets.
- ``dumps``: a source that comes in dumps is cleaned dump by dump.
- ``work``: the size of a job, for the progress display.
- ``segments``: splits a source's steps into passes over the text, at the dedups.
- ``source_graph``: the Beam graph of one source.

On the workers:

- ``passes``: the Beam functions of one pass. ``step_runner``: runs steps on one batch, without Beam.
- ``unpack``: splits containers into chunks. ``joins``: make one document of several records.
- ``dedup``: exact, line and near dedup.
- ``batches``, ``batch_address``, ``tags``: how documents travel, where a batch belongs, and the names of outputs.
- ``ledger``, ``counts``: exact counts, and a row for everything that is dropped.
- ``write_dropped``, ``finish``, ``read_back``: write the rows, compare the counts, read clean documents again.

>>> from pipeline.clean.segments import segments
>>> from pipeline.sources import SOURCES
>>> for segment in segments(SOURCES["books"].steps):
...     print([step.NAME for step in segment.local], "asks", [asked.step.NAME for asked in segment.ask])
['gutenberg', 'book_quality', 'detect_language'] asks ['duplicate_id']
[] asks ['near_dedup']
[] asks []
"""
