"""Checks the user's request before work starts, and refuses a wrong request.

    settings -> request, memory -> cloud_options, job_server, cloud_machines, cloud_stores -> one line per fault

- ``places``: checks the folders and files on this machine, before a large library is imported.
- ``request``: checks that a run fits into memory, and that its tokenizer and its list of exclusions can be read.
- ``memory``: computes how much memory a run will take.
- ``cloud_options``: checks the options that a run on many machines needs.
- ``job_server``: checks the options of a run on Flink, Spark or a job service, and that the job server answers.
- ``cloud_machines``: checks the names of Google's regions and machine types.
- ``cloud_stores``: checks credentials and buckets.

A fault is a message; None means that there is no fault:

>>> from pipeline.preflight.cloud_machines import region_fault
>>> region_fault("europe-west4") is None, region_fault("europe-west") is None
(True, False)
"""
