"""Serves published hosts on loopback with files of the tests. The programs under test notice no difference.

A proxy accepts ``CONNECT`` for these hosts and speaks TLS with their names. curl, Python and boto3 find it through the
usual environment variables, so the commands of a document run unchanged. Other hosts are refused.
"""

from __future__ import annotations

import datetime
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest


@dataclass
class Web:
    """Holds the served files, and records the requests that were made."""

    files: Mapping[str, bytes]
    """Maps the address of each file, without ``https://``, to its content."""
    paid_hosts: frozenset[str]
    """The hosts that answer a request only if it has the header for requester-pays."""
    environment: dict[str, str] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, web: Web, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.web, self.context = web, context


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    host = ""

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        web = self.server.web
        if not any(address.startswith(self.host + "/") for address in web.files):
            web.refused.append(self.host)
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = False  # Python sends HTTP/1.0
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)  # type: ignore[assignment]

    def do_GET(self) -> None:
        web, address = self.server.web, self.host + self.path.partition("?")[0]
        body = web.files.get(address)
        if self.host in web.paid_hosts and self.headers.get("x-amz-request-payer") != "requester":
            body, status = b"", 403
        else:
            status = 200 if body is not None else 404
        web.requested.append(f"{self.command} {status} {address}")
        body = body or b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 01 Jul 2019 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing, because ``Web.requested`` lists the requests."""


@pytest.fixture
def loopback_web(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Returns a function that serves the given files."""
    with ExitStack() as stack:

        def start(files: Mapping[str, bytes], *, paid_hosts: frozenset[str] = frozenset()) -> Web:
            hosts = sorted({address.partition("/")[0] for address in files})
            certificate = tmp_path / "loopback.pem"
            certificate.write_bytes(certificate_of(hosts))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            web = Web(files, paid_hosts)
            server = stack.enter_context(_Server(web, context))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            proxy = f"http://127.0.0.1:{server.server_address[1]}"
            names = ("https_proxy", "HTTPS_PROXY", "http_proxy")
            trusted = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
            web.environment = dict.fromkeys(names, proxy) | dict.fromkeys(trusted, str(certificate))
            web.environment |= {"no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}
            return web

        yield start


def certificate_of(hosts: list[str]) -> bytes:
    """Returns a key and a self-signed certificate for these hosts."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    return key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem)
