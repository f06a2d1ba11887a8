"""`python -m bench.kubelet`: what dranet needs of Kubernetes to set up a pod's interface: a kubelet and an API server.

Runs beside dranet on the stand-in machine. The API server knows the claims of pods that are to come and has nothing of
anything else. The kubelet takes dranet as a plugin and has it prepare claims, by the messages of
`k8s.io/kubelet/pkg/apis` (`pluginregistration` v1 and `dra` v1), which are small enough to be written by hand.

Each line of standard input is the uid of a pod that is to come; it is answered by what went wrong, "" for nothing, in
JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import grpc

PORT = 18080
ROOT = "/var/lib/kubelet"
DRIVER = "dra.net"
NODE = "node"
_CLAIMS = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/"
_REGISTER = "/pluginregistration.Registration/NotifyRegistrationStatus"
_PREPARE = "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/NodePrepareResources"
_REGISTERED = b"\x08\x01"  # RegistrationStatus: plugin_registered
_REPLY_S = 10


def _claim(uid: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The ResourceClaim of a pod, allocated to it; named after the pod's uid."""
    opaque = {"driver": DRIVER, "parameters": asked["config"]}
    result = {"request": "nic", "driver": DRIVER, "pool": NODE, "device": asked["device"]}
    return {
        "kind": "ResourceClaim",
        "apiVersion": "resource.k8s.io/v1",
        "metadata": {"name": uid, "namespace": "default", "uid": uid},
        "spec": {"devices": {"requests": [{"name": "nic", "exactly": {"deviceClassName": DRIVER}}]}},
        "status": {
            "allocation": {"devices": {"results": [result], "config": [{"source": "FromClaim", "opaque": opaque}]}},
            "reservedFor": [{"resource": "pods", "name": "web", "uid": uid}],
        },
    }


def _handler(asked: dict[str, Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers with the claim that is asked for; anything else is not there."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(_CLAIMS):
                self._say(200, _claim(path.removeprefix(_CLAIMS).partition("/")[0], asked))
            else:
                self._say(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._say(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - named so by `http.server`

        def log_message(self, *_: object) -> None:
            """Nothing is logged: it would be mixed with the answers."""

        def _say(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    return Handler


def _call(path: str, method: str, message: bytes) -> bytes:
    """One call to a socket of dranet's; waits until that is there."""
    with grpc.insecure_channel(f"unix:{ROOT}/{path}", options=[("grpc.default_authority", "localhost")]) as channel:
        call = cast("Callable[..., bytes]", channel.unary_unary(method))
        return call(message, timeout=_REPLY_S, wait_for_ready=True)


def _field(number: int, value: bytes) -> bytes:
    """One field of a message, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def _prepare(uid: str) -> str:
    """Have dranet prepare the claim of a pod; what went wrong, or ""."""
    of = uid.encode()
    claim = _field(1, b"default") + _field(2, of) + _field(3, of)
    said = _call(f"plugins/{DRIVER}/dra.sock", _PREPARE, _field(1, claim))
    return said.decode("utf-8", "replace") if b"error" in said or b"fail" in said else ""


def main() -> int:
    """Serve until standard input ends; the one argument is what pods ask for, in JSON."""
    server = ThreadingHTTPServer(("127.0.0.1", PORT), _handler(json.loads(sys.argv[1])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("serving", flush=True)
    _call(f"plugins_registry/{DRIVER}-reg.sock", _REGISTER, _REGISTERED)
    print("registered", flush=True)
    for line in sys.stdin:
        print(json.dumps(_prepare(line.strip())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
