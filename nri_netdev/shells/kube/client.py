"""Asks the API server of Kubernetes: one request at a time, JSON out and in, on a connection that is kept.

Blocking, on the standard library alone (docs/adr/0023), and not for two threads at once. What is refused is a
`ClusterError` with the kind that Kubernetes gives it; whether and when to ask again is the caller's affair (`Backoff`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from nri_netdev import __version__
from nri_netdev.errors import ClusterError
from nri_netdev.shells.kube.cluster import ApiServer, Certificate

_TIMEOUT_S = 10.0
_ANSWER_BYTES = 64 << 20
"""More than any list that etcd can hold in a page."""


class Body(StrEnum):
    """What a body is."""

    JSON = "application/json"
    APPLY = "application/apply-patch+yaml"
    """For a server-side apply; JSON is YAML."""
    MERGE = "application/merge-patch+json"


class ApiClient:
    """A connection to the API server, made with the first request.

    Args:
        server: which, and as whom.
        timeout_s: for connecting, and between the parts of an answer.
    """

    def __init__(self, server: ApiServer, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._server = server
        self._tls = _tls(server) if server.is_secure else None
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Read an object or a list; see `request`."""
        return self.request("GET", path, query=query)

    def apply(self, path: str, document: Mapping[str, Any], *, manager: str) -> Any:
        """Have an object be so, whether it exists or not: a server-side apply, which wins every conflict.

        Needs the verbs `create` and `patch`. To do it again changes nothing.

        Args:
            path: of the object.
            document: those fields that are to be so, `apiVersion`, `kind` and `metadata.name` among them.
            manager: under which the server remembers who wants them.
        """
        query = {"fieldManager": manager, "force": "true"}
        return self.request("PATCH", path, document, query=query, kind=Body.APPLY)

    def request(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        kind: Body = Body.JSON,
    ) -> Any:
        """Ask, and return the document that the server answers with; None if it answers with nothing.

        A request on a connection that the server has closed meanwhile is made anew, unless it is a POST.

        Raises:
            ClusterError: The server refuses, cannot be reached, or does not answer in JSON.
        """
        action = f"{method} {path}"
        body = None if document is None else json.dumps(document).encode()
        target = f"{self._server.path}{path}{'?' if query else ''}{urlencode(query or {})}"
        headers = {"Accept": "application/json", "User-Agent": f"nri-netdev/{__version__}"}
        headers |= {"Content-Type": kind} if body is not None else {}
        if token := self._server.token():
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer, content = self._asked(method, target, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ClusterError(action=action, message=str(error) or type(error).__name__) from error
        return _read(action, answer, content)

    def close(self) -> None:
        """Hang up; the next request connects anew."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _asked(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        is_kept = self._connection is not None
        try:
            return self._ask(method, target, body, headers)
        except ConnectionError:  # RemoteDisconnected is one
            if not is_kept or method == "POST":
                raise
            self.close()
            return self._ask(method, target, body, headers)

    def _ask(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, target, body, dict(headers))
        answer = self._connection.getresponse()
        content = answer.read(_ANSWER_BYTES)
        if not answer.isclosed():  # there is more than anybody wants
            self.close()
        return answer, content

    def _connect(self) -> http.client.HTTPConnection:
        host, port, timeout_s = self._server.host, self._server.port, self._timeout_s
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._tls)


def _tls(server: ApiServer) -> ssl.SSLContext:
    """How the server is recognised, and what is shown to it."""
    context = ssl.create_default_context(cadata=server.authority or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 wants extensions that many clusters' CAs lack
    if server.certificate is not None:
        _show(context, server.certificate)
    return context


def _show(context: ssl.SSLContext, certificate: Certificate) -> None:
    """OpenSSL reads a client's certificate from a file only."""
    with tempfile.NamedTemporaryFile("w") as pem:
        pem.write(f"{certificate.chain}\n{certificate.key}\n")
        pem.flush()
        context.load_cert_chain(pem.name)


def _read(action: str, answer: http.client.HTTPResponse, content: bytes) -> Any:
    """The document of an answer.

    Raises:
        ClusterError: It is a refusal, or not JSON.
    """
    document: Any = None
    with contextlib.suppress(ValueError):
        document = json.loads(content) if content else None
    if answer.status < 300 and (document is not None or not content):
        return document
    told = document if isinstance(document, dict) else {}
    raise ClusterError(
        action=action,
        status=answer.status,
        reason=str(told.get("reason") or answer.reason),
        message=str(told.get("message") or content[:200].decode(errors="replace")),
        retry_after_s=_seconds(answer.headers.get("Retry-After", "")),
    )


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() else 0.0


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next try: twice as long after each in vain.

    It is partly left to chance, so that not all nodes of a cluster come back at once.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    chance: Callable[[], float] = random.random
    """From 0 up to 1."""
    _tries: int = 0

    def failed(self, retry_after_s: float = 0.0) -> float:
        """Note a try in vain, and return how many seconds to wait.

        Args:
            retry_after_s: what the server asks for at least.
        """
        wait_s = min(self.most_s, self.first_s * 2.0 ** min(self._tries, 16))
        self._tries += 1
        return max(retry_after_s, wait_s * (0.5 + self.chance() / 2))

    def succeeded(self) -> None:
        """Begin anew with the next one in vain."""
        self._tries = 0
