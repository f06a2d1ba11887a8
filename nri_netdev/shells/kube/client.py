"""Applies objects at the API server of Kubernetes: one request at a time, in JSON, on a connection that is kept.

Blocking, on the standard library alone (docs/adr/0023), and not for two threads at once. What is refused is a
`ClusterError` with the kind that Kubernetes gives it; whether and when to ask again is the caller's affair.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import tempfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from nri_netdev import __version__
from nri_netdev.errors import ClusterError
from nri_netdev.shells.kube.cluster import ApiServer, Certificate

_TIMEOUT_S = 10.0
_ANSWER_BYTES = 4 << 20
"""More than any object that etcd can hold."""


class ApiClient:
    """A connection to the API server, made with the first request.

    Args:
        server: which, and as whom.
        timeout_s: for connecting, and between the parts of an answer.
    """

    def __init__(self, server: ApiServer, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def apply(self, path: str, document: Mapping[str, Any], *, manager: str) -> Any:
        """Have an object be so, whether it exists or not: a server-side apply, which wins every conflict.

        Needs the verbs `create` and `patch`. To do it again changes nothing, so a request on a connection that the
        server has closed meanwhile is made anew.

        Args:
            path: of the object.
            document: those fields that are to be so, `apiVersion`, `kind` and `metadata.name` among them.
            manager: under which the server remembers who wants them.

        Returns:
            The document that the server answers with; None if it answers with nothing.

        Raises:
            ClusterError: The server refuses, cannot be reached, or does not answer in JSON.
            ConfigurationError: The token or the certificates cannot be read.
        """
        action = f"PATCH {path}"
        body = json.dumps(document).encode()
        target = f"{self._server.path}{path}?{urlencode({'fieldManager': manager, 'force': 'true'})}"
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/apply-patch+yaml",  # JSON is YAML
            "User-Agent": f"nri-netdev/{__version__}",
        }
        if token := self._server.token():
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer, content = self._asked(target, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ClusterError(action=action, message=str(error) or type(error).__name__) from error
        return _read(action, answer, content)

    def close(self) -> None:
        """Hang up; the next request connects anew."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _asked(self, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        is_kept = self._connection is not None
        try:
            return self._ask(target, body, headers)
        except ConnectionError:  # RemoteDisconnected is one
            if not is_kept:
                raise
            self.close()
            return self._ask(target, body, headers)

    def _ask(self, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("PATCH", target, body, dict(headers))
        answer = self._connection.getresponse()
        content = answer.read(_ANSWER_BYTES)
        if not answer.isclosed():  # there is more than anybody wants
            self.close()
        return answer, content

    def _connect(self) -> http.client.HTTPConnection:
        host, port, timeout_s = self._server.host, self._server.port, self._timeout_s
        if not self._server.is_secure:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=_tls(self._server))


def _tls(server: ApiServer) -> ssl.SSLContext:
    """How the server is recognised, and what is shown to it."""
    context = ssl.create_default_context(cadata=server.authority() or None)
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
    refusal = document if isinstance(document, dict) else {}
    raise ClusterError(
        action=action,
        status=answer.status,
        reason=str(refusal.get("reason") or answer.reason),
        message=str(refusal.get("message") or content[:200].decode(errors="replace")),
        retry_after_s=_seconds(answer.headers.get("Retry-After", "")),
    )


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() else 0.0
