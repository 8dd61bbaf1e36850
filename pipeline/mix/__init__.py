"""Phase 3, mix: converts token files to weighted, shuffled shards and writes the manifest.

    token files -> count_held_out -> (mixtures.plan) -> last_epoch -> global_shuffle -> shards/, validation/

- ``phase``: runs the jobs and writes the manifest last.
- ``earlier_stages``: reads where earlier mixtures ended, for a mixture that continues them.
- ``earlier_parts``: finds where the parts of a source continue, if earlier stages divided the source differently.
- ``replaced``: makes the messages about finished shards that a run is about to replace.
- ``forgotten``: refuses a mixture if it would contain documents that were removed from earlier shards.
- ``about``: what the manifest says about the run besides the mixture.
- ``job``: the settings of each job. ``work``: the size of a job, for the progress display.
- ``count_held_out``: counts the documents and tokens that are held out for validation.
- ``last_epoch``: finds where the last epoch of a source ends, if this epoch uses only some of the documents.
- ``global_shuffle``: sends every occurrence of a document to its place in the shards.

The settings of a job are the fields of a dataclass:

>>> from pipeline.mix.job import MixJob
>>> MixJob.__dataclass_fields__["seed"].type
'int'
"""
