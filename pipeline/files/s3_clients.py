"""One S3 client a process: Beam makes a new one for every call on an ``s3://`` path, 0.15 to 0.3 s of CPU each.

Beam's own object around the client keeps the place of a read, so it stays one a call; the library's client inside it
keeps nothing and may be shared among threads. Session and client are those that Beam asks for, made once.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

_installing = threading.Lock()


class _Boto3:
    """Stands for the ``boto3`` that Beam's module uses: all it asks of it is a session's client."""

    def __init__(self, boto3: Any) -> None:
        self._boto3 = boto3
        self.session = self

    def Session(self) -> _Boto3:  # noqa: N802 - the library's name
        return self

    def client(self, **kwargs: Any) -> Any:
        with _installing:  # the library's way of making one is not safe among threads
            return self._made(tuple(sorted(kwargs.items())))

    @functools.lru_cache(maxsize=8)  # noqa: B019 - it lives as long as the process
    def _made(self, kwargs: tuple[tuple[str, Any], ...]) -> Any:
        return self._boto3.session.Session().client(**dict(kwargs))


def share_clients() -> None:
    """Makes Beam share them from now on; nothing where the extra [aws] is not installed, which Beam then tells."""
    try:
        from apache_beam.io.aws.clients.s3 import boto3_client
    except ImportError:
        return
    with _installing:
        if boto3_client.boto3 is not None and not isinstance(boto3_client.boto3, _Boto3):
            boto3_client.boto3 = _Boto3(boto3_client.boto3)
