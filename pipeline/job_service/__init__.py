"""Runs Beam jobs on a few hosts without a cluster: a job service on one host, and a pool of workers on each host.

    pipeline.run on one host -> serve: the job service -> pool: worker processes on every host

    python -m pipeline.job_service pool --port 50000                                   (on every host with workers)
    python -m pipeline.job_service serve --pools one:50000,two:50000 --num_workers 8   (on one host that all reach)
    python -m pipeline.run --runner=PortableRunner --job_endpoint=localhost:8099 \\
        --environment_type=EXTERNAL --environment_config=HOST:50001 --input ... --output ...

- ``service``: the service and the pool.
- ``__main__``: the command.
"""
