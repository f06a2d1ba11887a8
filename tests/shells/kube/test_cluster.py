"""Where the API server is: from a pod's service account, and from kubeconfig files as they are."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from nri_netdev.errors import ConfigurationError
from nri_netdev.shells.kube.cluster import Certificate, from_kubeconfig, in_cluster

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "2001:db8::1", "KUBERNETES_SERVICE_PORT": "6443"}


def test_in_a_pod(tmp_path: Path) -> None:
    """The environment says where, the service account's files as whom; they are read each time."""
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "ca.crt").write_text("PEM")
    server = in_cluster(ENVIRONMENT, tmp_path)

    assert (server.host, server.port, server.is_secure) == ("2001:db8::1", 6443, True)
    assert (server.token(), server.authority()) == ("one", "PEM")
    (tmp_path / "token").write_text("two")
    (tmp_path / "ca.crt").write_text("NEW")
    assert (server.token(), server.authority()) == ("two", "NEW")
    (tmp_path / "ca.crt").write_text("")
    with pytest.raises(ConfigurationError, match=r"ca.crt is empty"):
        server.authority()


def test_in_no_pod(tmp_path: Path) -> None:
    """What lacks is said: the variable, the token, the certificates, a port."""
    with pytest.raises(ConfigurationError, match=r"no KUBERNETES_SERVICE_HOST .* say --kubeconfig FILE"):
        in_cluster({}, tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot read .*/token"):
        in_cluster(ENVIRONMENT, tmp_path)
    (tmp_path / "token").write_text("one")
    (tmp_path / "ca.crt").write_text("\n")
    with pytest.raises(ConfigurationError, match=r"ca.crt is empty"):
        in_cluster(ENVIRONMENT, tmp_path)
    with pytest.raises(ConfigurationError, match=r"KUBERNETES_SERVICE_PORT .* is no port: https"):
        in_cluster({**ENVIRONMENT, "KUBERNETES_SERVICE_PORT": "https"}, tmp_path)


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters:
- {name: other, cluster: {server: "https://other"}}
- {name: this, cluster: {server: "https://192.0.2.1:6443/prefix/", CLUSTER}}
users: [{name: me, user: {USER}}]
contexts: [{name: now, context: {cluster: this, user: me}}]
current-context: now
"""


def kubeconfig(directory: Path, *, cluster: str = "x: y", user: str = "token: secret") -> Path:
    path = directory / "kubeconfig"
    path.write_text(KUBECONFIG.replace("CLUSTER", cluster).replace("USER", user))
    return path


def test_a_kubeconfig(tmp_path: Path) -> None:
    """The current context's cluster and user."""
    server = from_kubeconfig(kubeconfig(tmp_path))

    assert (server.host, server.port, server.path, server.is_secure) == ("192.0.2.1", 6443, "/prefix", True)
    assert (server.authority(), server.token(), server.certificate) == ("", "secret", None)


def test_what_it_refers_to(tmp_path: Path) -> None:
    """Files are relative to it; data stands in it."""
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("filed\n")
    data = {name: base64.b64encode(name.encode()).decode() for name in ("chain", "key")}
    user = f"client-certificate-data: {data['chain']}, client-key-data: {data['key']}, tokenFile: token"
    server = from_kubeconfig(kubeconfig(tmp_path, cluster="certificate-authority: ca.pem", user=user))

    assert server.authority() == "CA"
    assert server.token() == "filed"
    assert server.certificate == Certificate(chain="chain", key="key")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{}", "is no kubeconfig with a current context"),
        ("a: [", "is not YAML"),
        ("{contexts: [], current-context: x}", "is no kubeconfig"),
        (KUBECONFIG.replace("https://192", "ftp://192").replace("USER", "a: b").replace("CLUSTER", "a: b"), "ftp://"),
        (
            KUBECONFIG.replace("https://192", "http://192").replace("USER", "token: t").replace("CLUSTER", "a: b"),
            "use https",
        ),
        (KUBECONFIG.replace("USER", "exec: {}").replace("CLUSTER", "a: b"), "a user with exec is not supported"),
        (KUBECONFIG.replace("USER", "client-key-data: '*'").replace("CLUSTER", "a: b"), "is not base64"),
        (KUBECONFIG.replace("USER", "a: b").replace("CLUSTER", "certificate-authority: none.pem"), "cannot read"),
    ],
)
def test_no_kubeconfig(tmp_path: Path, text: str, said: str) -> None:
    """What is wrong is said."""
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        from_kubeconfig(tmp_path / "kubeconfig")
