"""Checks credentials and buckets before anything is submitted."""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipeline.engine.runner import Engine
from pipeline.preflight.job_server import raise_faults
from pipeline.settings.settings import Settings

_LOGIN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's key"


def buckets_of(settings: Settings, options: PipelineOptions) -> dict[str, str]:
    """Finds the Google buckets that a run uses. Returns a mapping from bucket to the first flag that names it."""
    cloud = options.view_as(GoogleCloudOptions)
    named = [
        ("--temp_location", cloud.temp_location),
        ("--staging_location", cloud.staging_location),
        ("--output", settings.output),
        ("--models", settings.models),
        ("--tokenizer", settings.tokenizer),
        ("--exclude", settings.exclude),
        *((f"--input {source}", glob) for source, globs in settings.inputs.items() for glob in globs),
    ]
    found: dict[str, str] = {}
    for flag, path in named:
        if path and path.startswith("gs://"):
            found.setdefault(path[5:].partition("/")[0], flag)
    return found


def check_stores(settings: Settings, engine: Engine) -> None:
    """Checks that each Google bucket exists, and that the run's credentials allow reading it.

    Raises:
        ValueError: a bucket does not exist or cannot be read (one line per bucket), or there are no credentials.
    """
    buckets = buckets_of(settings, engine.options)
    if not buckets:
        return
    client = _client(engine.options)
    raise_faults(
        "stores", [fault for bucket, flag in buckets.items() if (fault := _bucket_fault(client, bucket, flag))]
    )


def _client(options: PipelineOptions) -> Any:
    try:
        import google.auth  # type: ignore[import-untyped,import-not-found]
        from apache_beam.io.gcp import gcsio
        from google.auth.exceptions import DefaultCredentialsError  # type: ignore[import-untyped,import-not-found]
    except ImportError as error:
        raise ValueError("gs:// paths need the Google packages: pip install 'llama-mixture[gcp]'") from error
    if not options.view_as(GoogleCloudOptions).no_auth:
        try:  # without this check Beam continues without credentials, and fails later in another place
            google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_write"])
        except (DefaultCredentialsError, OSError) as error:
            raise ValueError(f"there are no Google credentials here ({_first_line(error)}): {_LOGIN}") from error
    return gcsio.GcsIO(pipeline_options=options).client


def _bucket_fault(client: Any, bucket: str, flag: str) -> str | None:
    from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthorized  # type: ignore[import-untyped,import-not-found]
    from google.auth.exceptions import GoogleAuthError  # type: ignore[import-untyped,import-not-found]

    try:
        next(iter(client.list_blobs(bucket, max_results=1, retry=None, timeout=20)), None)
    except NotFound:
        return f"{flag}: there is no bucket gs://{bucket}; create it, or check its name"
    except (Forbidden, Unauthorized) as error:
        return f"{flag}: gs://{bucket} may not be read with these credentials ({_first_line(error)})"
    except GoogleAuthError as error:
        return f"{flag}: the credentials are not accepted ({_first_line(error)}): {_LOGIN}"
    except (GoogleAPIError, OSError) as error:
        return f"{flag}: gs://{bucket} cannot be reached ({_first_line(error)})"
    return None


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
