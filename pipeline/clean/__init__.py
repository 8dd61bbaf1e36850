"""Phase 1, clean: converts the files of a source to ``clean/``, ``dropped/`` and ``stats/``.

A dedup is a step that removes duplicates. It compares keys of all documents, for example hashes of their texts. An
exact dedup drops documents that have the same key as a kept document. A near dedup drops documents whose texts overlap
the text of a kept document.

A dedup needs the keys of all documents before it can decide. So the steps of a source are split into segments, and each
segment except the last ends at a dedup. A segment is one pass over the texts:

    input files
         |  read
         v
    documents --> local steps --> texts are spilled to disk ------------+
                                       |                                |
                                       | keys                           | references
                                       v                                v
                                  a dedup ---------- verdicts ---> open the spilled texts with their verdicts
                                                                        |
                                            more local steps and dedups, and finally
                                                                        v
                                     clean/SOURCE/part-*.parquet, dropped/SOURCE/part-*.parquet, stats/SOURCE.json

A verdict is a dedup's decision about a document. Spilled texts are written to temporary files, and a reference says
where in these files they are. A unit is a piece of the input that one worker reads. Workers exchange keys, references
and verdicts. They do not exchange texts, except in the join of Stack Exchange. The sending stage and the receiving
stage both count the exchanged records. If the two counts differ, the run fails.

For example, the source ``books`` needs three passes. This prints, for each pass, the dedups whose verdicts it applies,
its local steps, and the dedups to which it sends keys:

>>> from pipeline.clean.segments import segments_of
>>> from pipeline.sources import SOURCES
>>> for s in segments_of(SOURCES["books"]):
...     print([v.step.NAME for v in s.verdicts], [step.NAME for step in s.local], [d.step.NAME for d in s.dedups])
[] ['gutenberg', 'book_quality', 'detect_language'] ['duplicate_id']
['duplicate_id'] [] ['near_dedup']
['duplicate_id', 'near_dedup'] [] []

On the driver:

    phase.py            chooses the sources that must run, makes their jobs, checks their input
    prepared_source.py  a source of a run before it is cleaned: files, units, models, fingerprint
    reuse.py            copies clean documents from the output of another run
    why_not_reused.py   says which settings, models or files differ from those of that run
    dumps.py            cleans each dump of a source separately, if the source comes in dumps
    across.py           decides which indexes each source writes and reads in the dedup across sources
    job.py              the job of a source or a dump: what it cleans, how it is sized, its paths
    sizing.py           the number of parts and buckets for an input
    work.py             the amount of work of each pass, for the progress display

The graph of a source:

    segments.py         splits steps into segments
    source_graph.py     the passes, joins and dedups of a source, in order
    pass_graph.py       adds a pass to the graph
    tags.py             the names of the outputs of a pass
    joins/              the joins, one file per kind
    dedup/              the dedups, one file per kind

On the workers:

    unpack.py           unpacks containers into chunks
    passes.py           the passes: read or open batches, run a segment, send keys or write
    step_runner.py      runs a segment on a batch, without Beam
    batches.py          documents as Arrow record batches
    batch_address.py    the id of a batch, and the output part that it goes to
    verdicts.py         the verdicts on a batch
    origin.py           where a document came from: url, title, date
    ledger.py           the ledger: what a worker counted, and rows about the documents that it dropped
    counts.py           what is counted, and which counts must be equal
    write_dropped.py    writes the dropped documents
    near_stats.py       what the statistics say about a near dedup
    bad_input.py        stops a run if a source has too many bad records or unreadable files
    held.py             holds back a source if its near dedup removed more documents than allowed
    eval_table.py       builds the index of the evaluation sets before the phase
    evidence.py         the passages of evaluation sets that were found in documents, and a summary
    finish.py           checks all counts, then writes the statistics, and the marker that makes a source complete
"""
