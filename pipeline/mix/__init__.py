"""Phase 3: token files become weighted, shuffled shards and the manifest.

    token files -> count_held_out -> (mixtures.plan) -> last_epoch -> global_shuffle -> shards/, validation/

- ``phase``: runs the jobs and writes the manifest last.
- ``earlier_stages``: reads what a mixture takes over from the mixtures that it continues.
- ``earlier_parts``: finds where the parts of a source continue that earlier stages divided otherwise.
- ``forgotten``: refuses a mixture that would bring back documents that were taken out of earlier shards.
- ``job``: the values that the jobs get. ``work``: the size of a job, for the progress display.
- ``count_held_out``: counts the documents and tokens that are held out for validation.
- ``last_epoch``: finds where the subset of a last, partial epoch ends.
- ``global_shuffle``: sends every occurrence of a document to its place in the shards.

>>> from pipeline.mix.job import MixJob
>>> MixJob.__dataclass_fields__["seed"].type
'int'
"""
