"""An HTTP or HTTPS server that answers as an API server does: applies objects, and refuses what it is told to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Object = dict[str, Any]
HOST = "127.0.0.1"


@dataclass
class Asked:
    """A request as the server got it."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any
    connection: tuple[str, int]


@dataclass
class Refusal:
    """What the server answers next instead of doing what it is asked."""

    status: int
    document: Any
    headers: dict[str, str] = field(default_factory=dict)


def status(code: int, reason: str, message: str, **headers: str) -> Refusal:
    """A refusal as Kubernetes has it."""
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    return Refusal(code, document, {name.replace("_", "-"): text for name, text in headers.items()})


class ApiStandIn:
    """What is asked, and what there is."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.objects: dict[str, Object] = {}
        self.refusals: list[Refusal] = []
        self.closes = False
        """Whether it closes each connection after its answer, without saying so."""
        self.port = 0

    @property
    def events(self) -> list[Object]:
        """The objects, in the order in which they were made."""
        return list(self.objects.values())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: ApiStandIn

    def do_PATCH(self) -> None:
        document, path = self._body(), self._path()
        if not self.stand_in.refusals:
            self.stand_in.objects[path] = self.stand_in.objects.get(path, {}) | document
        self._answer(200, document)

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _body(self) -> Any:
        self._read = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        return self._read

    def _answer(self, code: int, document: Any) -> None:
        stand_in = self.stand_in
        body = getattr(self, "_read", None)
        stand_in.asked.append(Asked(self.command, self.path, dict(self.headers), body, self.client_address))
        headers: dict[str, str] = {}
        if stand_in.refusals:
            refusal = stand_in.refusals.pop(0)
            code, document, headers = refusal.status, refusal.document, refusal.headers
        content = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        content = b"" if document is None else content
        self.send_response(code)
        for name, text in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)
        if stand_in.closes:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[ApiStandIn]:
    """Run one on a port of its own, with TLS if it has a certificate."""
    stand_in = ApiStandIn()
    handler = type("Handler", (_Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer((HOST, 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that go away
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_OPTIONAL
        server.socket = context.wrap_socket(server.socket, server_side=True)
    stand_in.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(directory: Path) -> Path:
    """A certificate of 127.0.0.1 that vouches for itself, and its key, in one file."""
    directory.mkdir(exist_ok=True)
    path = directory / "server.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-subj", "/CN=api", "-addext", f"subjectAltName=IP:{HOST}", "-keyout", str(path), "-out", "-"]
    done = subprocess.run(made, capture_output=True, check=True)
    with path.open("ab") as pem:
        pem.write(done.stdout)
    return path
