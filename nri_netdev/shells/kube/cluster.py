"""Where the API server is and as whom to ask it: from a pod's service account, or from a kubeconfig file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nri_netdev.errors import ConfigurationError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts what a pod's service account has."""
_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A client's own certificate, in PEM."""

    chain: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """An API server."""

    host: str
    port: int
    is_secure: bool = True
    """Whether TLS is spoken; without it only in tests, and through `kubectl proxy`."""
    authority: Callable[[], str] = str
    """Reads the certificates that vouch for the server, in PEM, anew for each connection; "" for the system's."""
    token: Callable[[], str] = str
    """Reads the bearer token, anew for each request, since it rotates; "" if there is none."""
    certificate: Certificate | None = None
    path: str = ""
    """What the path of each request begins with."""


def in_cluster(environment: Mapping[str, str], directory: Path = SERVICE_ACCOUNT) -> ApiServer:
    """The API server of the cluster that this pod is of.

    Args:
        environment: where the kubelet has named the service.
        directory: what the service account has.

    Raises:
        ConfigurationError: This is no pod, or it has no token.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigurationError("no KUBERNETES_SERVICE_HOST in the environment: this is no pod; say --kubeconfig FILE")
    if not port.isdecimal():
        raise ConfigurationError(f"KUBERNETES_SERVICE_PORT in the environment is no port: {port}")
    token, authority = directory / "token", directory / "ca.crt"
    for path in (token, authority):
        _text(path)
    return ApiServer(host=host, port=int(port), authority=lambda: _text(authority), token=lambda: _text(token).strip())


def from_kubeconfig(path: Path) -> ApiServer:
    """The API server of the current context of a kubeconfig file.

    Raises:
        ConfigurationError: There is none, or it says who asks in a way that is not known here.
    """
    from nri_netdev.domain.text import yaml_nodes  # noqa: PLC0415 - no pod needs PyYAML for this

    try:
        node = yaml_nodes.load(_text(path), limits=yaml_nodes.Limits(size_bytes=_CONFIG_BYTES, depth=16, nodes=65536))
    except yaml_nodes.YamlError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    config: Any = yaml_nodes.plain(node) if node is not None else None
    try:
        return _current(config, path.parent)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise ConfigurationError(f"{path} is no kubeconfig with a current context: {error!r}") from error


def _current(config: Mapping[str, Any], directory: Path) -> ApiServer:
    context = _named(config["contexts"], config["current-context"], "context")
    cluster = _named(config["clusters"], context["cluster"], "cluster")
    user = _named(config["users"], context["user"], "user")
    if unknown := user.keys() & {"exec", "auth-provider", "username"}:
        raise ConfigurationError(f"a user with {', '.join(sorted(unknown))} is not supported; use a token")
    at = urlsplit(cluster["server"])
    if at.scheme not in {"http", "https"} or not at.hostname:
        raise ValueError(cluster["server"])
    chain, key = (_data(user, name, directory) for name in ("client-certificate", "client-key"))
    token, token_file = str(user.get("token", "")), user.get("tokenFile")
    if at.scheme == "http" and (token or token_file):
        raise ConfigurationError(f"a token is not sent to {cluster['server']}: use https")

    def authority() -> str:
        return _data(cluster, "certificate-authority", directory)

    authority()
    return ApiServer(
        host=at.hostname,
        port=at.port or (443 if at.scheme == "https" else 80),
        is_secure=at.scheme == "https",
        authority=authority,
        token=(lambda: _text(directory / token_file).strip()) if token_file else (lambda: token),
        certificate=Certificate(chain=chain, key=key) if chain and key else None,
        path=at.path.rstrip("/"),
    )


def _named(entries: Any, name: str, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one[kind] for one in entries if one["name"] == name)
    return found


def _data(where: Mapping[str, Any], name: str, directory: Path) -> str:
    """What stands in a file, or in the kubeconfig itself; "" if nothing does."""
    if data := where.get(f"{name}-data"):
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{name}-data is not base64") from error
    return _text(directory / where[name]) if where.get(name) else ""


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    if not text.strip():
        raise ConfigurationError(f"{path} is empty")
    return text
