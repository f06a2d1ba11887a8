"""Results of IPAM plugins: of every version of CNI that has them, strictly, and with the plugin's name where one is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nri_netdev.domain.setup.leases import Lease, LeaseResult, read_result, with_result
from nri_netdev.domain.setup.values import PLAIN, AddressSetup, Dad, RouteSetup
from nri_netdev.errors import PluginError


def read(**fields: Any) -> LeaseResult:
    """Read a result that differs in some fields from a sound one; None leaves a field out."""
    sound = {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.10/24", "gateway": "192.0.2.1"}]}
    document = {name: value for name, value in {**sound, **fields}.items() if value is not None}
    return read_result(json.dumps(document), plugin="host-local")


def test_a_result_of_each_version() -> None:
    """0.4.0 tells the family too, 1.1.0 more of routes; what is not known is a plugin's own business."""
    old = read(
        cniVersion="0.4.0",
        ips=[
            {"version": "4", "address": "192.0.2.10/24", "gateway": "192.0.2.1"},
            {"version": "6", "address": "2001:DB8::000a/64", "gateway": ""},
        ],
        routes=[{"dst": "198.51.100.0/24", "gw": "192.0.2.254"}],
        dns={},
        x={"y": 1},
    )
    assert old == LeaseResult(
        addresses=(AddressSetup(address="192.0.2.10/24"), AddressSetup(address="2001:db8::a/64")),
        gateways=("192.0.2.1", None),
        routes=(RouteSetup(to="198.51.100.0/24", via="192.0.2.254"),),
    )
    new = read(
        cniVersion="1.1.0",
        routes=[{"dst": "198.51.100.7/24", "mtu": 1400, "priority": 50, "table": 100, "scope": 0, "advmss": 0}],
        dns={"nameservers": ["192.0.2.53"]},
    )
    assert new.routes == (
        RouteSetup(to="198.51.100.0/24", via="192.0.2.1", mtu=1400, metric=50, table=100, scope="global"),
    )
    assert new.dns == '{"nameservers":["192.0.2.53"]}'
    assert read(cniVersion="0.3.1").routes == ()


def test_a_route_without_a_gateway() -> None:
    """It gets that of the first address of its family that has one; one of link scope, and one of a family without, none."""
    ips = [
        {"address": "192.0.2.10/24"},
        {"address": "192.0.2.11/24", "gateway": "192.0.2.1"},
        {"address": "192.0.2.12/24", "gateway": "192.0.2.2"},
        {"address": "2001:db8::a/64", "gateway": "fe80::1"},
    ]
    routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": None}, {"dst": "198.51.100.0/24", "scope": 253}]
    found = read(ips=ips, routes=routes)
    assert [(route.to, route.via, route.scope) for route in found.routes] == [
        ("0.0.0.0/0", "192.0.2.1", None),
        ("::/0", "fe80::1", None),
        ("198.51.100.0/24", None, "link"),
    ]
    assert [route.is_default for route in found.routes] == [True, True, False]
    assert read(ips=ips[:1], routes=[{"dst": "0.0.0.0/0"}]).routes == (RouteSetup(to="0.0.0.0/0"),)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"cniVersion": None}, "its cniVersion is null, not one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"),
        ({"cniVersion": "0.2.0"}, 'its cniVersion is "0.2.0", not'),
        ({"cniVersion": ["1.0.0"]}, 'its cniVersion is ["1.0.0"], not'),
        ({"ips": None}, "it has no address in ips"),
        ({"ips": []}, "it has no address in ips"),
        ({"ips": {}}, "ips is {}, not a list"),
        ({"ips": ["192.0.2.1/24"]}, 'an entry of ips is "192.0.2.1/24", not an object'),
        ({"ips": [{}]}, "address is null, not an IP address with its prefix length"),
        ({"ips": [{"address": "192.0.2.1"}]}, 'address is "192.0.2.1", not an IP address with its prefix length'),
        ({"ips": [{"address": "192.0.2.1/255.255.255.0"}]}, "not an IP address with its prefix length"),
        ({"ips": [{"address": "192.0.2.1/33"}]}, "not an IP address with its prefix length"),
        ({"ips": [{"address": "fe80::1%eth0/64"}]}, "not an IP address with its prefix length"),
        ({"ips": [{"address": 7}]}, "address is 7, not"),
        ({"ips": [{"address": "192.0.2.1/24", "gateway": "x"}]}, 'gateway is "x", not an IP address'),
        ({"ips": [{"address": "192.0.2.1/24", "gateway": 7}]}, "gateway is 7, not an IP address"),
        (
            {"ips": [{"address": "192.0.2.1/24", "gateway": "::1"}]},
            "the gateway ::1 is not of the family of the address",
        ),
        ({"routes": "x"}, 'routes is "x", not a list'),
        ({"routes": [{"gw": "192.0.2.1"}]}, "dst is null, not a network"),
        ({"routes": [{"dst": "default"}]}, 'dst is "default", not a network'),
        ({"routes": [{"dst": "192.0.2.0/24", "gw": "::1"}]}, "the gateway ::1 is not of the family of the route to"),
        ({"routes": [{"dst": "192.0.2.0/24", "mtu": "1500"}]}, 'mtu is "1500", not a number'),
        ({"routes": [{"dst": "192.0.2.0/24", "mtu": True}]}, "mtu is true, not a number"),
        ({"routes": [{"dst": "192.0.2.0/24", "mtu": -1}]}, "mtu is -1, not a number"),
        ({"routes": [{"dst": "192.0.2.0/24", "scope": 7}]}, "has scope 7, which is none of 0, 200, 253, 254"),
        ({"routes": [{"dst": "192.0.2.0/24", "advmss": 1200}]}, "has advmss, which cannot be set here; use mtu"),
        ({"dns": ["192.0.2.53"]}, 'dns is ["192.0.2.53"], not an object'),
    ],
)
def test_a_result_that_cannot_be_used(fields: dict[str, Any], why: str) -> None:
    """Why not, and of which plugin."""
    with pytest.raises(PluginError) as caught:
        read(**fields)
    error = caught.value
    assert why in error.reason
    assert str(error).startswith("the IPAM plugin host-local did not give an address: its result cannot be used: ")
    assert (error.has_run, error.is_answer) == (True, False)


@pytest.mark.parametrize("text", ["", "hello", "[" * 100_000, '"x"', "null", "[]"])
def test_no_result(text: str) -> None:
    """Whatever a plugin says."""
    with pytest.raises(
        PluginError, match="the IPAM plugin static did not give an address: its result cannot be used: it "
    ):
        read_result(text, plugin="static")


def lease(**fields: Any) -> Lease:
    """A lease with something in every field."""
    values = {
        "mark": f"nri-netdev-{1:016x}",
        "plugin": "host-local",
        "document": '{"type": "host-local"}',
        "network": "nri-netdev",
        "ifname": "net1",
        "netns_path": "/run/netns/x",
        "pod_id": "p1",
        "pod_uid": "u1",
        "namespace": "default",
        "pod": "web",
        "result": LeaseResult(
            addresses=(AddressSetup(address="192.0.2.10/24", dad=Dad.WAIT),),
            gateways=("192.0.2.1",),
            routes=(RouteSetup(to="0.0.0.0/0", via="192.0.2.1", mtu=1400, metric=5, table=7, scope="link"),),
            dns='{"domain":"example.org"}',
        ),
        "refusal": "no",
    }
    return Lease(**(values | fields))


@pytest.mark.parametrize("result", [lease().result, None])
def test_what_is_written_is_read(result: LeaseResult | None) -> None:
    """With every field."""
    written = lease(result=result)
    assert Lease.from_json(written.to_json()) == written
    assert written.container_id == written.mark


@pytest.mark.parametrize("may_route_default", [False, True])
def test_a_default_route_that_a_plugin_gives(*, may_route_default: bool) -> None:
    """Is left out where none may be, also where it would be that to the network of an address."""
    wide, narrow = AddressSetup(address="2001:db8::1/0"), AddressSetup(address="192.0.2.1/24")
    route, default = RouteSetup(to="198.51.100.0/24"), RouteSetup(to="0.0.0.0/0", via="192.0.2.9")
    result = LeaseResult(addresses=(wide, narrow), gateways=(None, None), routes=(default, route))
    setup = with_result(PLAIN, result, may_route_default=may_route_default)
    assert setup.addresses == (replace(wide, noprefixroute=not may_route_default), narrow)
    assert setup.routes == ((replace(default, metric=4096), route) if may_route_default else (route,))
