"""Plays Google on this machine: a store (its JSON interface), a token server, and Dataflow.

One server does all three. The store keeps objects in memory. A posted Dataflow job is recorded. Then a function that
the test gives really runs the job. The job is done if this run succeeds, and failed if not.
"""

from __future__ import annotations

import base64
import bisect
import email.parser
import functools
import http.server
import json
import re
import subprocess
import sys
import threading
import urllib.parse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIME = "2026-01-01T00:00:00.000Z"


@dataclass
class Job:
    """Holds a posted job and its state."""

    number: int
    request: bytes
    project: str
    region: str
    state: str = "JOB_STATE_PENDING"
    error: str = ""
    num_polls: int = 0

    @property
    def id(self) -> str:
        return f"2026-01-01_00_00_00-{self.number}"

    @property
    def said(self) -> dict[str, Any]:
        return json.loads(self.request)

    def as_json(self) -> dict[str, Any]:
        said = self.said
        return {
            "id": self.id, "projectId": self.project, "location": self.region, "name": said.get("name"),
            "type": said.get("type"), "currentState": self.state, "createTime": TIME,
        }  # fmt: skip


@dataclass
class Google:
    """Holds the server's objects, uploads, jobs and requests."""

    port: int = 0
    objects: dict[str, dict[str, tuple[bytes, int]]] = field(default_factory=lambda: defaultdict(dict))
    """Maps a bucket's name and an object's name to (content, generation). The generation is the store's version
    number.
    """
    uploads: dict[str, tuple[str, str, bytearray]] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    run_job: Callable[[Job], subprocess.CompletedProcess[str]] | None = None
    """Runs a job. If it is None, nothing is run, and each job is done when its state is requested for the third
    time.
    """
    requests: list[str] = field(default_factory=list)
    refuses: bool = False
    """If true, the store answers each request with status 401, as if it did not accept the credentials."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    generation: int = 1
    _sorted: dict[str, tuple[tuple[int, int], list[str]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def put(self, bucket: str, name: str, data: bytes) -> None:
        with self.lock:
            self.generation += 1
            self.objects[bucket][name] = (data, self.generation)

    def upload_tree(self, folder: Path, bucket: str, prefix: str) -> None:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            self.put(bucket, f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def get(self, url: str) -> bytes:
        bucket, _, name = url.removeprefix("gs://").partition("/")
        return self.objects[bucket][name][0]

    def names(self, prefix: str) -> list[str]:
        bucket, _, start = prefix.removeprefix("gs://").partition("/")
        return sorted(n for n in self.objects[bucket] if n.startswith(start))

    def sorted_names(self, bucket: str) -> list[str]:
        """Returns the names of all objects in a bucket, sorted. Sorts them only if they changed since the last call."""
        with self.lock:
            key = (self.generation, len(self.objects[bucket]))
            if self._sorted.get(bucket, (None, []))[0] != key:
                self._sorted[bucket] = (key, sorted(self.objects[bucket]))
            return self._sorted[bucket][1]

    def submit(self, request: bytes, project: str, region: str) -> Job:
        job = Job(len(self.jobs) + 1, request, project, region)
        self.jobs.append(job)
        if self.run_job is not None:
            begin = threading.Timer(0.5, self._run, args=(job,))  # the answer to the request still says PENDING
            begin.daemon = True
            begin.start()
        return job

    def _run(self, job: Job) -> None:
        assert self.run_job is not None
        job.state = "JOB_STATE_RUNNING"
        done = self.run_job(job)
        job.error = "" if done.returncode == 0 else done.stderr[-4000:]
        job.state = "JOB_STATE_FAILED" if done.returncode else "JOB_STATE_DONE"

    def look_at(self, job: Job) -> Job:
        job.num_polls += 1
        if self.run_job is None:
            job.state = "JOB_STATE_DONE" if job.num_polls > 2 else "JOB_STATE_RUNNING"
        return job


@functools.lru_cache(maxsize=256)
def crc32c(data: bytes) -> str:
    """Returns the CRC-32C of the data as Google's store writes it: the big-endian number in base64."""
    import google_crc32c

    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests to the store, the token server and Dataflow."""

    protocol_version = "HTTP/1.1"
    google: Google

    def log_message(self, *_: object) -> None:
        """Prints nothing, because ``Google.requests`` lists the requests."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - the names are the library's

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunked()
        self.google.requests.append(f"{self.command} {self.path} {len(body)}")
        status, headers, content = route(self.google, self.command, self.path, dict(self.headers.items()), body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


Answer = tuple[int, dict[str, str], bytes]


def as_json(value: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def fault(status: int, message: str) -> Answer:
    return as_json({"error": {"code": status, "message": message, "errors": [{"message": message}]}}, status)


def route(google: Google, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
    url = urllib.parse.urlsplit(target)
    query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
    if url.path == "/token":
        if google.refuses:
            return as_json({"error": "invalid_grant", "error_description": "account not found"}, 400)
        return as_json({"access_token": "none", "expires_in": 3600, "token_type": "Bearer"})
    if google.refuses:
        return fault(401, "Invalid Credentials")
    if url.path.startswith("/batch/storage/v1"):
        return _batch(google, headers, body)
    if found := re.fullmatch(
        r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs(?:/([^/]+)(/messages|/metrics)?)?", url.path
    ):
        return _dataflow(google, method, found, body)
    if found := re.fullmatch(r"(/upload|/download)?/storage/v1/b/([^/]+)(?:/o(?:/(.*))?)?", url.path):
        bucket, name = found[2], urllib.parse.unquote(found[3]) if found[3] is not None else None
        if bucket not in google.objects:
            return fault(404, "The specified bucket does not exist.")
        if found[1] == "/upload":
            return _upload(google, method, bucket, query, headers, body)
        if name is None:
            is_list = url.path.endswith("/o")
            return (
                _list(google, bucket, query) if is_list else as_json({"name": bucket, "location": "US", "id": bucket})
            )
        return _object(google, method, bucket, name, query, headers, is_media=found[1] == "/download")
    return fault(404, f"nothing at {target}")


def _about(google: Google, bucket: str, name: str) -> dict[str, Any]:
    data, generation = google.objects[bucket][name]
    return {
        "kind": "storage#object", "id": f"{bucket}/{name}/{generation}", "name": name, "bucket": bucket,
        "generation": str(generation), "metageneration": "1", "size": str(len(data)), "timeCreated": TIME,
        "updated": TIME, "crc32c": crc32c(data), "etag": str(generation), "contentType": "application/octet-stream",
    }  # fmt: skip


def _list(google: Google, bucket: str, query: dict[str, str]) -> Answer:
    prefix = query.get("prefix", "")
    names = google.sorted_names(bucket)
    names = names[bisect.bisect_right(names, query["pageToken"]) if "pageToken" in query else 0 :]
    names = [n for n in names[bisect.bisect_left(names, prefix) :] if n.startswith(prefix)]
    if delimiter := query.get("delimiter"):
        tails = {n: n[len(prefix) :].partition(delimiter) for n in names}
        folders = sorted({prefix + head + sep for head, sep, _ in tails.values() if sep})
        names = [n for n in names if not tails[n][1]]
    else:
        folders = []
    limit = min(int(query.get("maxResults", 1000)), 1000)
    page = {"kind": "storage#objects", "items": [_about(google, bucket, n) for n in names[:limit]], "prefixes": folders}
    return as_json(page | ({"nextPageToken": names[limit - 1]} if len(names) > limit else {}))


def _object(google: Google, method: str, bucket: str, name: str, query: dict[str, str], headers: dict[str, str], *,
            is_media: bool) -> Answer:  # fmt: skip
    if found := re.fullmatch(r"(.+)/(?:copyTo|rewriteTo)/b/([^/]+)/o/(.+)", name):
        if found[1] not in google.objects[bucket]:
            return fault(404, f"No such object: {bucket}/{found[1]}")
        google.put(found[2], found[3], google.objects[bucket][found[1]][0])
        about = _about(google, found[2], found[3])
        size = about["size"]
        rewritten = {"done": True, "resource": about, "totalBytesRewritten": size, "objectSize": size}
        return as_json(rewritten if "/rewriteTo/" in name else about)
    if name not in google.objects[bucket]:
        return fault(404, f"No such object: {bucket}/{name}")
    if method == "DELETE":
        with google.lock:
            google.objects[bucket].pop(name, None)
        return 204, {}, b""
    if not (is_media or query.get("alt") == "media"):
        return as_json(_about(google, bucket, name))
    data, generation = google.objects[bucket][name]
    about = {"X-Goog-Hash": f"crc32c={crc32c(data)}", "X-Goog-Generation": str(generation), "Content-Type": "x/y"}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("Range", headers.get("range", "")))
    if not asked:
        return 200, about, data
    first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
    if first >= len(data):
        return 416, about | {"Content-Range": f"bytes */{len(data)}"}, b""
    return 206, about | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1]


def _upload(google: Google, method: str, bucket: str, query: dict[str, str], headers: dict[str, str],
            body: bytes) -> Answer:  # fmt: skip
    if method == "PUT":
        return _resumed(google, query["upload_id"], headers, body)
    kind = query.get("uploadType")
    if kind == "resumable":
        about = json.loads(body or b"{}")
        upload = f"upload-{len(google.uploads)}"
        google.uploads[upload] = (bucket, query.get("name") or about["name"], bytearray())
        return 200, {"Location": f"{google.url}/upload/storage/v1/b/{bucket}/o?upload_id={upload}"}, b""
    if kind == "multipart":
        about, data = _parts(headers, body)
        name = json.loads(about)["name"]
    else:
        name, data = query["name"], body
    google.put(bucket, name, data)
    return as_json(_about(google, bucket, name))


def _resumed(google: Google, upload: str, headers: dict[str, str], body: bytes) -> Answer:
    bucket, name, held = google.uploads[upload]
    said = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", headers.get("content-range", ""))
    )
    if said and said[1] is not None:
        del held[int(said[1]) :]
        held += body
    elif not said:
        held += body
    if said and said[2] == "*":
        return 308, {"Range": f"bytes=0-{len(held) - 1}"} if held else {}, b""
    google.put(bucket, name, bytes(held))
    return as_json(_about(google, bucket, name))


def _parts(headers: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
    """Returns the bodies of the two parts of a multipart upload, unchanged."""
    kind = headers.get("Content-Type", headers.get("content-type", ""))
    boundary = b"--" + re.search(r"boundary=[\"']?([^\"';]+)", kind)[1].encode()  # type: ignore[index]
    found = [part.split(b"\r\n\r\n", 1)[1] for part in body.split(boundary)[1:3]]
    return found[0], found[1].removesuffix(b"\r\n")


def _batch(google: Google, headers: dict[str, str], body: bytes) -> Answer:
    kind = headers.get("Content-Type", headers.get("content-type", ""))
    message = email.parser.BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    answers = []
    for number, part in enumerate(message.get_payload()):
        head, _, content = (
            part.get_payload().lstrip().partition("\r\n\r\n" if "\r\n\r\n" in part.get_payload() else "\n\n")
        )
        method, target, _ = head.splitlines()[0].split(" ", 2)
        path = urllib.parse.urlsplit(target)
        status, _, data = route(google, method, f"{path.path}?{path.query}", {}, content.encode())
        answers.append(
            f"--answer\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
            f"HTTP/1.1 {status} said\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            f"{data.decode()}\r\n"
        )
    text = "".join(answers) + "--answer--"
    return 200, {"Content-Type": 'multipart/mixed; boundary="answer"'}, text.encode()


def _dataflow(google: Google, method: str, found: re.Match[str], body: bytes) -> Answer:
    if method == "POST" and not found[3]:
        return as_json(google.submit(body, found[1], found[2]).as_json())
    job = next((j for j in google.jobs if j.id == found[3]), None)
    if job is None:
        return as_json({"jobs": []}) if not found[3] else fault(404, "no such job")
    if found[4] == "/messages":
        messages = [("JOB_MESSAGE_ERROR", job.error)] if job.error else [("JOB_MESSAGE_BASIC", "started")]
        listed = [
            {"id": str(i), "time": TIME, "messageText": text, "messageImportance": importance}
            for i, (importance, text) in enumerate(messages)
        ]
        return as_json({"jobMessages": listed})
    if found[4] == "/metrics":
        return as_json({"metrics": []})
    return as_json(google.look_at(job).as_json())


class QuietServer(http.server.ThreadingHTTPServer):
    """Prints no error if a client closes its connection early."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def serve(google: Google) -> http.server.ThreadingHTTPServer:
    """Starts the server in a thread of this process. Stores its port in ``google.port``."""
    handler = type("BoundHandler", (Handler,), {"google": google})
    server = QuietServer(("127.0.0.1", 0), handler)
    google.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
