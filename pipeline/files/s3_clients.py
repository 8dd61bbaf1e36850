"""Keeps one S3 client per process.

Beam makes a new client of the library boto3 for every call on an ``s3://`` path. Making a client takes 0.15 to 0.3 s of
CPU time. This module makes the client only once, with the arguments that Beam passes, and all threads share it. Beam
wraps the client in an object that stores a read position. This wrapper cannot be shared, so Beam still makes a new
wrapper for each call.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

_installing = threading.Lock()


class _Boto3:
    """Replaces the library ``boto3`` in Beam's module, so that Beam gets the shared client.

    Beam uses ``boto3`` only to make a session and to make a client with this session. This class offers just these two
    methods.
    """

    def __init__(self, boto3: Any) -> None:
        self._boto3 = boto3
        self.session = self

    def Session(self) -> _Boto3:  # noqa: N802 - the library's name
        return self

    def client(self, **kwargs: Any) -> Any:
        with _installing:  # making a client is not thread-safe in boto3
            return self._made(tuple(sorted(kwargs.items())))

    @functools.lru_cache(maxsize=8)  # noqa: B019 - the object lives as long as the process
    def _made(self, kwargs: tuple[tuple[str, Any], ...]) -> Any:
        return self._boto3.session.Session().client(**dict(kwargs))


def share_clients() -> None:
    """Changes Beam so that all its later calls share one S3 client.

    Does nothing if the extra [aws] is not installed; Beam reports that.
    """
    try:
        from apache_beam.io.aws.clients.s3 import boto3_client
    except ImportError:
        return
    with _installing:
        if boto3_client.boto3 is not None and not isinstance(boto3_client.boto3, _Boto3):
            boto3_client.boto3 = _Boto3(boto3_client.boto3)
