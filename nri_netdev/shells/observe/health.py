"""The gRPC health service `grpc.health.v1` for the kubelet's probes, and the client of `nri-netdev health`.

Services: `liveness`, `readiness`, `startup`, and the empty name, which is readiness. grpcio is imported where it is
used, so a daemon without probes never loads it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError, NriNetdevError
from nri_netdev.lean import hollow
from nri_netdev.proto import health_pb2

SERVICE = "grpc.health.v1.Health"
LIVENESS, READINESS, STARTUP = "liveness", "readiness", "startup"
_STOP_S = 1.0


@contextlib.contextmanager
def serve(address: ListenAddress, services: Mapping[str, Callable[[], bool]]) -> Iterator[int]:
    """Answer probes while a block runs.

    Args:
        address: where to listen; an abandoned unix socket is replaced.
        services: by name, a function that returns whether the service serves; called on the server's threads.

    Yields:
        The port; 0 for a unix socket.

    Raises:
        ConfigurationError: It cannot listen there.
    """
    _check_free(address)
    grpc = _grpc()

    status = health_pb2.HealthCheckResponse

    def check(request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        serves = services.get(request.service)
        if serves is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f'no service "{request.service}"; there are {", ".join(services)}')
        return status(status=status.SERVING if serves is not None and serves() else status.NOT_SERVING)

    handler = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=health_pb2.HealthCheckRequest.FromString,
        response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
    )
    server = grpc.server(
        ThreadPoolExecutor(2, thread_name_prefix="health"),
        handlers=[grpc.method_handlers_generic_handler(SERVICE, {"Check": handler})],
        options=[("grpc.so_reuseport", 0)],  # else two daemons would answer by turns
    )
    if address.path is not None:
        with contextlib.suppress(OSError):
            address.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            address.path.unlink(missing_ok=True)
    try:
        port = server.add_insecure_port(address.target)
    except RuntimeError as error:
        raise ConfigurationError(
            f"health: cannot listen on {address.target}: is the address or port in use?"
        ) from error
    server.start()
    try:
        yield port if address.path is None else 0
    finally:
        server.stop(_STOP_S).wait()


def _grpc() -> Any:
    """The gRPC module without its asyncio part: 13 MiB that only probes need."""
    with hollow("grpc.aio"):
        import grpc  # noqa: PLC0415
    return grpc


def _check_free(address: ListenAddress) -> None:
    """Fail if another process listens there. gRPC would replace its unix socket, and for a port log at length."""
    other: tuple[str, int] | str = str(address.path) if address.path is not None else (address.host, address.port)
    try:
        if address.path is not None:
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(_STOP_S)
                caller.connect(other)
            taken = errno.EADDRINUSE
            raise OSError(taken, os.strerror(taken))  # noqa: TRY301 - as bind would
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(other)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK}:
            raise ConfigurationError(f"health: cannot listen on {address.target}: {error.strerror}") from error


def check(address: ListenAddress, service: str = READINESS, *, timeout_s: float = 3.0) -> bool:
    """Ask a running daemon whether one of its services serves.

    Raises:
        NriNetdevError: Nobody answers there, or it knows no such service.
    """
    grpc = _grpc()

    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address.target, options=options) as channel:
        ask = channel.unary_unary(
            f"/{SERVICE}/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = ask(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        except grpc.RpcError as error:
            raise NriNetdevError(f"no answer about {service} from {address.target}: {error.details()}") from error
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
