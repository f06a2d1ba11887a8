"""What a container is told of its interfaces, in Kubernetes' form, in Multus' and in variables."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from nri_netdev.domain.metadata import (
    METADATA,
    NETWORK_STATUS,
    Given,
    described,
    documents,
    environment,
    metadata_json,
    network_status_json,
)
from nri_netdev.domain.pods import PodSandbox


def one(inside: str = "net1", **fields: Any) -> Given:
    """An interface of which nothing is known but its names."""
    known = {"ifname": "ens1", "kind": "veth", "annotation": "nri-netdev.io/pod", "entry": 1, "mark": "nri-netdev-a1"}
    return Given(**known | {"inside": inside} | fields)


POD = PodSandbox(id="p1", uid="uid-1", namespace="desk", name="trader")
NIC = one(
    ifname="ens1f0",
    inside="net1",
    kind="hardware",
    driver="mlx5_core",
    mac="02:00:00:00:00:01",
    mtu=9000,
    pci="0000:3b:00.2",
    numa_node=0,
    addresses=("192.0.2.10/24", "2001:db8::10/64"),
    gateways=("192.0.2.1",),
    routes=("default via 192.0.2.1", "198.51.100.0/24 via 192.0.2.2"),
    rdma="mlx5_2",
    rdma_devices=("/dev/infiniband/uverbs2", "/dev/infiniband/rdma_cm"),
    children=("net1.100",),
)
SHARE = one(
    ifname="ens1f1",
    inside="net2",
    kind="macvlan",
    share="bridge",
    driver="ice",
    mac="02:00:00:00:00:02",
    mtu=1500,
    pci="0000:3b:00.1",
    numa_node=1,
    entry=2,
)


def metadata(*given: Given) -> list[dict[str, Any]]:
    """The objects of the stream."""
    text = metadata_json(pod=POD, given=given)
    assert text.endswith("\n")
    return [*map(json.loads, text.splitlines())]


def devices(*given: Given) -> list[dict[str, Any]]:
    """Every device of the newest version."""
    return [device for request in metadata(*given)[0]["requests"] for device in request["devices"]]


# -- Kubernetes' device metadata -----------------------------------------------------------------------------------


def test_metadata_has_each_version_newest_first() -> None:
    """On a line each, otherwise the same."""
    new, old = metadata(NIC, SHARE)
    assert (new.pop("apiVersion"), old.pop("apiVersion")) == (
        "metadata.resource.k8s.io/v1beta1",
        "metadata.resource.k8s.io/v1alpha1",
    )
    assert new == old
    assert new["kind"] == "DeviceMetadata"
    assert new["metadata"] == {
        "name": "trader",
        "namespace": "desk",
        "uid": "uid-1",
    }


def test_the_metadata_of_a_nic() -> None:
    """Names and types are those of k8s.io/dynamic-resource-allocation/api/metadata/v1beta1 and k8s.io/api/resource/v1."""
    assert metadata(NIC)[0]["requests"] == [
        {
            "name": "request-1",
            "devices": [
                {
                    "driver": "nri-netdev.io",
                    "pool": "host",
                    "name": "ens1f0",
                    "attributes": {
                        "resource.kubernetes.io/pciBusID": {"string": "0000:3b:00.2"},
                        "resource.kubernetes.io/numaNode": {"int": 0},
                        "nri-netdev.io/ifName": {"string": "ens1f0"},
                        "nri-netdev.io/kind": {"string": "hardware"},
                        "nri-netdev.io/driver": {"string": "mlx5_core"},
                        "nri-netdev.io/mac": {"string": "02:00:00:00:00:01"},
                        "nri-netdev.io/mtu": {"int": 9000},
                        "nri-netdev.io/gateways": {"strings": ["192.0.2.1"]},
                        "nri-netdev.io/routes": {"strings": ["default via 192.0.2.1", "198.51.100.0/24 via 192.0.2.2"]},
                        "nri-netdev.io/rdma": {"string": "mlx5_2"},
                        "nri-netdev.io/rdmaDevices": {
                            "strings": ["/dev/infiniband/uverbs2", "/dev/infiniband/rdma_cm"]
                        },
                        "nri-netdev.io/children": {"strings": ["net1.100"]},
                        "nri-netdev.io/annotation": {"string": "nri-netdev.io/pod"},
                        "nri-netdev.io/entry": {"int": 1},
                        "nri-netdev.io/claim": {"string": "nri-netdev-a1"},
                    },
                    "networkData": {
                        "interfaceName": "net1",
                        "ips": ["192.0.2.10/24", "2001:db8::10/64"],
                        "hardwareAddress": "02:00:00:00:00:01",
                    },
                }
            ],
        }
    ]


def test_a_shared_device_is_not_the_pods() -> None:
    """Its PCI address would be taken for a device to use; where it is near is still told."""
    [device] = devices(SHARE)
    assert "resource.kubernetes.io/pciBusID" not in device["attributes"]
    assert device["attributes"]["resource.kubernetes.io/numaNode"] == {"int": 1}
    assert device["attributes"]["nri-netdev.io/kind"] == {"string": "macvlan"}
    assert device["attributes"]["nri-netdev.io/share"] == {"string": "bridge"}
    assert json.loads(network_status_json([SHARE]))[0].keys() == {"name", "interface", "mac", "mtu", "dns"}
    assert "NRI_NETDEV_NET2_PCI" not in environment([SHARE])


def test_what_is_not_known_is_left_out() -> None:
    """There is no attribute without a value, and none with an empty one."""
    [device] = devices(one())
    assert device["networkData"] == {"interfaceName": "net1"}
    assert {*device["attributes"]} == {
        f"nri-netdev.io/{name}" for name in ("ifName", "kind", "annotation", "entry", "claim")
    }
    assert metadata()[0]["requests"] == []


def test_metadata_keeps_to_the_bounds_of_the_api() -> None:
    """64 bytes a text, 16 addresses, each once."""
    key = f"nri-netdev.io/container.{'c' * 63}"
    addresses = [f"192.0.2.{host}/24" for host in range(20)]
    [device] = devices(one(annotation=key, routes=("x" * 64, "x" * 65), addresses=(addresses[0], *addresses)))
    assert device["networkData"]["ips"] == addresses[:16]
    assert "nri-netdev.io/routes" not in device["attributes"]
    assert "nri-netdev.io/annotation" not in device["attributes"]
    assert devices(one(routes=("x" * 64,)))[0]["attributes"]["nri-netdev.io/routes"] == {"strings": ["x" * 64]}


def test_each_entry_is_a_request() -> None:
    """In the order in which they come; an entry for several interfaces is one."""
    given = [
        one("a", ifname="e1", entry=1),
        one("b", ifname="e2", entry=2),
        one("c", ifname="e3", entry=1, annotation="nri-netdev.io/container.feed"),
        one("d", ifname="e4", entry=2),
    ]
    requests = metadata(*given)[0]["requests"]
    assert [(request["name"], [device["name"] for device in request["devices"]]) for request in requests] == [
        ("request-1", ["e1"]),
        ("request-2", ["e2", "e4"]),
        ("request-3", ["e3"]),
    ]


@pytest.mark.parametrize(
    ("ifnames", "names"),
    [
        (["ens1f0"], ["ens1f0"]),
        (["eno1.100", "ENO1"], ["eno1-100", "eno1"]),
        (["_a__b_", "…"], ["a-b", "interface"]),
        (["ens1", "ens1", "ens1-2", "ens1"], ["ens1", "ens1-3", "ens1-2", "ens1-4"]),
    ],
)
def test_devices_have_names_that_dns_allows(ifnames: list[str], names: list[str]) -> None:
    """Each once, though an interface that is shared comes several times."""
    given = [one(f"net{number}", ifname=ifname) for number, ifname in enumerate(ifnames)]
    assert [device["name"] for device in devices(*given)] == names


# -- Multus' network status ----------------------------------------------------------------------------------------


def test_the_network_status() -> None:
    """Names and types are those of NetworkStatus in network-attachment-definition-client 1.7."""
    assert json.loads(network_status_json([NIC, one("net3")])) == [
        {
            "name": "nri-netdev/ens1f0",
            "interface": "net1",
            "ips": ["192.0.2.10", "2001:db8::10"],
            "mac": "02:00:00:00:00:01",
            "mtu": 9000,
            "gateway": ["192.0.2.1"],
            "device-info": {
                "type": "pci",
                "version": "1.1.0",
                "pci": {"pci-address": "0000:3b:00.2", "rdma-device": "mlx5_2"},
            },
            "dns": {},
        },
        {"name": "nri-netdev/ens1", "interface": "net3", "dns": {}},
    ]
    assert network_status_json([]) == "[]\n"


# -- environment ---------------------------------------------------------------------------------------------------


def test_the_environment() -> None:
    """What is there; nothing for what is not known."""
    assert environment([NIC, SHARE]) == {
        "NRI_NETDEV_INTERFACES": "net1,net2",
        "NRI_NETDEV_METADATA": "/run/nri-netdev.io/metadata.json",
        "NRI_NETDEV_NET1_HOST": "ens1f0",
        "NRI_NETDEV_NET1_NAME": "net1",
        "NRI_NETDEV_NET1_MAC": "02:00:00:00:00:01",
        "NRI_NETDEV_NET1_PCI": "0000:3b:00.2",
        "NRI_NETDEV_NET1_ADDRESSES": "192.0.2.10/24,2001:db8::10/64",
        "NRI_NETDEV_NET1_MTU": "9000",
        "NRI_NETDEV_NET2_HOST": "ens1f1",
        "NRI_NETDEV_NET2_NAME": "net2",
        "NRI_NETDEV_NET2_MAC": "02:00:00:00:00:02",
        "NRI_NETDEV_NET2_MTU": "1500",
    }


@pytest.mark.parametrize(
    ("insides", "names"),
    [
        (["eno1.100"], {"eno1.100": "ENO1_100"}),
        (["n-1", "n.1"], {"n-1": "N_1", "n.1": "N_1_2"}),
        (["n.1", "n-1"], {"n-1": "N_1", "n.1": "N_1_2"}),
        (["n-1", "n.1", "n_1", "n_1-2"], {"n-1": "N_1", "n.1": "N_1_3", "n_1": "N_1_4", "n_1-2": "N_1_2"}),
        (["Net", "net"], {"Net": "NET", "net": "NET_2"}),
    ],
)
def test_names_of_variables(insides: list[str], names: dict[str, str]) -> None:
    """Whatever the order is; a name that is nobody else's is kept."""
    variables = environment([one(inside) for inside in insides])
    assert {inside: variables[f"NRI_NETDEV_{name}_NAME"] for inside, name in names.items()} == {
        inside: inside for inside in insides
    }
    assert len([key for key in variables if key.endswith("_NAME")]) == len(insides)


IFNAMES = st.lists(st.text(st.sampled_from("aA1-._"), min_size=1, max_size=4), unique=True, max_size=8)


@for_all(IFNAMES)
def test_no_variable_is_of_two_interfaces(insides: list[str]) -> None:
    """Names are told apart, whichever they are."""
    variables = environment([one(inside) for inside in insides])
    assert sorted(value for key, value in variables.items() if key.endswith("_NAME")) == sorted(insides)
    assert all(key.replace("_", "").isalnum() and key.isupper() for key in variables)


def test_a_hosts_name_that_is_no_utf8() -> None:
    """NRI has no room for it; JSON has."""
    given = one(ifname="a\udcff")
    environment([given])["NRI_NETDEV_NET1_HOST"].encode()
    assert devices(given)[0]["attributes"]["nri-netdev.io/ifName"] == {"string": "a\udcff"}


# -- as a whole ----------------------------------------------------------------------------------------------------


def test_documents() -> None:
    """Both files, by name."""
    told = documents(pod=POD, given=[NIC])
    assert told == {
        METADATA: metadata_json(pod=POD, given=[NIC]),
        NETWORK_STATUS: network_status_json([NIC]),
    }


def test_an_interface_for_our_own_programs() -> None:
    """Every field, as JSON has it."""
    told = json.loads(json.dumps(described(NIC)))
    assert told["addresses"] == ["192.0.2.10/24", "2001:db8::10/64"]
    assert told.keys() == {*Given.__slots__}
