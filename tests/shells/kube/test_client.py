"""The client of the API server, against a server on this machine, with TLS and without."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nri_netdev.errors import ClusterError
from nri_netdev.shells.kube.client import ApiClient
from nri_netdev.shells.kube.cluster import ApiServer, Certificate
from tests.shells.kube.server import HOST, ApiStandIn, Refusal, make_certificate, serving, status

PATH = "/api/v1/namespaces/default/events/web.1"


@pytest.fixture
def api() -> Iterator[ApiStandIn]:
    with serving() as stand_in:
        yield stand_in


def client_of(api: ApiStandIn, **more: object) -> ApiClient:
    return ApiClient(ApiServer(host=HOST, port=api.port, is_secure=False, **more))  # type: ignore[arg-type]


def test_an_apply(api: ApiStandIn) -> None:
    """One request makes the object or changes it, and says what it is to be and who wants it so."""
    client = client_of(api, token=lambda: "secret", path="/prefix")
    answer = client.apply(PATH, {"kind": "Event", "count": 1}, manager="me")
    (asked,) = api.asked

    assert answer == {"kind": "Event", "count": 1}
    assert (asked.method, asked.target) == ("PATCH", f"/prefix{PATH}?fieldManager=me&force=true")
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["User-Agent"].startswith("nri-netdev/")
    client.close()


def test_a_token_is_read_anew(api: ApiStandIn) -> None:
    """It rotates while the process lives."""
    tokens = iter(("one", "two"))
    client = client_of(api, token=lambda: next(tokens))
    for _ in range(2):
        client.apply(PATH, {}, manager="me")
    client.close()

    assert [asked.headers["Authorization"] for asked in api.asked] == ["Bearer one", "Bearer two"]


def test_a_connection_is_kept(api: ApiStandIn) -> None:
    """Requests go over one connection; one that the server has closed is made anew."""
    client = client_of(api)
    for _ in range(3):
        client.apply(PATH, {}, manager="me")
    assert len({asked.connection for asked in api.asked}) == 1
    api.closes = True
    for _ in range(3):
        client.apply(PATH, {}, manager="me")
    client.close()

    assert len(api.asked) == 6
    assert len({asked.connection for asked in api.asked}) == 3


@pytest.mark.parametrize(
    ("refusal", "reason", "text", "is_passing"),
    [
        (status(404, "NotFound", "no namespace"), "NotFound", "no namespace (status 404)", False),
        (status(403, "Forbidden", "may not"), "Forbidden", "may not (status 403)", False),
        (status(409, "Conflict", "other"), "Conflict", "other (status 409)", True),
        (status(401, "Unauthorized", "who?"), "Unauthorized", "who? (status 401)", True),
        (status(429, "TooManyRequests", "later", Retry_After="7"), "TooManyRequests", "later (status 429)", True),
        (Refusal(503, "<html>"), "Service Unavailable", "<html> (status 503)", True),
        (Refusal(200, "<html>"), "OK", "<html> (status 200)", False),
    ],
)
def test_refusals(api: ApiStandIn, refusal: Refusal, reason: str, text: str, is_passing: bool) -> None:
    """Each has Kubernetes' own kind and words, and whether to ask again."""
    api.refusals.append(refusal)
    client = client_of(api)
    with pytest.raises(ClusterError) as caught:
        client.apply(PATH, {}, manager="me")
    client.close()

    error = caught.value
    assert (error.status, error.reason, error.is_passing) == (refusal.status, reason, is_passing)
    assert str(error) == f"the API server refused PATCH {PATH}: {text}"
    assert error.retry_after_s == float(refusal.headers.get("Retry-After", 0))


def test_nobody_there() -> None:
    """Is told with what was asked, and may pass."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        client = ApiClient(ApiServer(host=HOST, port=bound.getsockname()[1], is_secure=False))
        with pytest.raises(ClusterError, match=r"cannot reach the API server for PATCH /x: .*refused") as caught:
            client.apply("/x", {}, manager="me")
    assert caught.value.is_passing


def test_a_server_that_does_not_answer() -> None:
    """Is given up after the time-out."""
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))
        deaf.listen()
        client = ApiClient(ApiServer(host=HOST, port=deaf.getsockname()[1], is_secure=False), timeout_s=0.05)
        with pytest.raises(ClusterError, match="timed out"):
            client.apply("/x", {}, manager="me")


def test_tls(tmp_path: Path) -> None:
    """The server is recognised by the authority that is given, and by no other; a client's certificate is shown."""
    path = make_certificate(tmp_path)
    pem = path.read_text()
    with serving(path) as api:
        server = ApiServer(host=HOST, port=api.port, authority=lambda: pem, certificate=Certificate(chain=pem, key=pem))
        client = ApiClient(server)
        client.apply(PATH, {"kind": "Event"}, manager="me")
        client.close()
        assert len(api.events) == 1
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            ApiClient(ApiServer(host=HOST, port=api.port)).apply(PATH, {}, manager="me")


def test_another_authority(tmp_path: Path) -> None:
    """The certificates are read for each connection, as a cluster may get others while the process lives."""
    old, new = (make_certificate(tmp_path / name).read_text() for name in ("old", "new"))
    trusted = [old]
    with serving(tmp_path / "new" / "server.pem") as api:
        client = ApiClient(ApiServer(host=HOST, port=api.port, authority=lambda: trusted[0]))
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            client.apply(PATH, {}, manager="me")
        trusted[0] = new
        client.apply(PATH, {"kind": "Event"}, manager="me")
        client.close()
        assert len(api.events) == 1
