"""The component `events`: a container beside the daemon's that has rights and no privileges, the other way round."""

from __future__ import annotations

from pathlib import Path

from nri_netdev import cli
from nri_netdev.cli.inputs import read_settings
from nri_netdev.domain.address import ListenAddress
from nri_netdev.shells.kube.cluster import SERVICE_ACCOUNT
from tests.test_manifests import MANIFESTS, Object, build, the, with_components


def spec_of(objects: list[Object]) -> Object:
    return dict(the("DaemonSet", objects)["spec"]["template"]["spec"])


def containers(objects: list[Object]) -> tuple[Object, Object]:
    """The daemon's, and the one that writes events."""
    daemon, events = spec_of(objects)["containers"]
    return daemon, events


def test_the_two_meet(tmp_path: Path) -> None:
    """The daemon tells where the other listens, at a volume that both mount; the image is the same."""
    daemon, events = containers(with_components(tmp_path, "base", "events"))
    arguments = [argument.replace("$(POD_IP)", "192.0.2.1") for argument in daemon["args"]]
    settings = read_settings(cli.parser().parse_args(arguments))
    options = cli.parser().parse_args(events["args"])

    assert options.command == "events"
    assert options.events == settings.events
    path = ListenAddress.parse(settings.events).path
    assert path is not None
    for one in (daemon, events):
        assert [mount["mountPath"] for mount in one["volumeMounts"] if mount["name"] == "events"] == [str(path.parent)]
    assert events["image"] == daemon["image"]


def test_rights_without_privileges(tmp_path: Path) -> None:
    """Events can be made and nothing else; the token is in that container alone, which is nobody's root."""
    objects = with_components(tmp_path, "base", "events")
    assert the("ClusterRole", objects)["rules"] == [
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}
    ]
    assert the("ServiceAccount", objects)["automountServiceAccountToken"] is False
    spec = spec_of(objects)
    assert spec["automountServiceAccountToken"] is False
    (token,) = (volume for volume in spec["volumes"] if "projected" in volume)
    daemon, events = containers(objects)
    assert token["name"] not in [mount["name"] for mount in daemon["volumeMounts"]]
    assert {mount["mountPath"] for mount in events["volumeMounts"]} == {"/run/events", str(SERVICE_ACCOUNT)}
    assert all(mount["readOnly"] for mount in events["volumeMounts"])
    context = events["securityContext"]
    assert (context["runAsNonRoot"], context["capabilities"]) == (True, {"drop": ["ALL"]})
    assert context["runAsGroup"] == spec["securityContext"]["fsGroup"]
    assert "serviceAccountToken" not in str(build(MANIFESTS / "base"))


def test_in_any_namespace(tmp_path: Path) -> None:
    """Whoever binds the rights is the service account of the namespace that a kustomization names."""
    with_components(tmp_path, "base", "events")
    text = (tmp_path / "mine" / "kustomization.yaml").read_text()
    (tmp_path / "mine" / "kustomization.yaml").write_text(text.replace("namespace: nri-netdev", "namespace: other"))
    objects = build(tmp_path / "mine")
    (subject,) = the("ClusterRoleBinding", objects)["subjects"]
    account = the("ServiceAccount", objects)
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], "other")
    assert spec_of(objects)["serviceAccountName"] == account["metadata"]["name"]
