"""What a container is told of the interfaces that it got: two files in a directory that is mounted into it, variables.

The directory is mounted, not the files. A mount must be asked for when the container is created, when its interfaces
are still on the host; the files are complete only once these have arrived, which is before the container's process
runs. A file that is replaced in a mounted directory is seen inside, one that is itself mounted is not.

The environment is fixed when the container is created, so it lacks what is known only later.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.snapshot import fields_of

MOUNT_POINT = "/run/nri-netdev.io"
"""Where the directory is in the container."""
METADATA = "metadata.json"
"""`metadata_json`, in that directory."""
NETWORK_STATUS = "network-status.json"
"""`network_status_json`, in that directory."""

ENV_PREFIX = "NRI_NETDEV_"
ENV_INTERFACES = f"{ENV_PREFIX}INTERFACES"

_DOMAIN = "nri-netdev.io"
_POOL = "host"
_VERSIONS = ("v1beta1", "v1alpha1")
"""Of `metadata.resource.k8s.io`, newest first, as a reader takes the first that it knows. They have the same fields."""
_VALUE_BYTES = 64
"""`DeviceAttributeMaxValueLength` of resource.k8s.io."""
_IPS = 16
"""`NetworkDeviceDataMaxIPs` of resource.k8s.io."""

Attribute: TypeAlias = Mapping[str, Any]
"""One key, the type, with the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One interface as the pod has it; empty or None for what it has not, and for what is not known yet."""

    ifname: str
    """Its name on the host; for a share, that of the interface that is shared."""
    inside: str
    """Its name in the pod."""
    kind: str
    """What the pod has: hardware, veth …; macvlan or ipvlan for a share."""
    share: str = ""
    """The mode in which it shares the host's interface, as `bridge`; "" where the pod has the interface itself."""
    driver: str | None = None
    """Of the host's interface."""
    mac: str | None = None
    """In the pod."""
    mtu: int | None = None
    """In the pod, in bytes."""
    pci: str | None = None
    """The PCI address of the host's interface: `0000:3b:00.0`."""
    numa_node: int | None = None
    """Of the host's interface."""
    addresses: tuple[str, ...] = ()
    """With their prefix lengths: `192.0.2.10/24`."""
    gateways: tuple[str, ...] = ()
    """Of the default routes by it: `192.0.2.1`."""
    routes: tuple[str, ...] = ()
    """As iproute2 writes them: `198.51.100.0/24 via 192.0.2.1`."""
    rdma: str | None = None
    """Its RDMA device: `mlx5_0`."""
    rdma_devices: tuple[str, ...] = ()
    """Character devices of that, which the container has: `/dev/infiniband/uverbs0`."""
    children: tuple[str, ...] = ()
    """Names in the pod of the devices on it, VLANs and others."""
    annotation: str
    """The key of the annotation that asked for it."""
    entry: int
    """Which entry of that annotation, from 1."""
    mark: str
    """The claim's id."""

    @property
    def own_pci(self) -> str | None:
        """The PCI address of the device that the pod has to itself; None for a share, of which others have a part."""
        return None if self.share else self.pci


@dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """What a container gets from us beside its interfaces."""

    source: str | None
    """The host's directory that is mounted, read-only, at `MOUNT_POINT`; None for no such mount."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables to set, whether the container has them already or not."""
    devices: tuple[CharDevice, ...] = ()
    """Devices to read and write; the same one may be in it twice."""


def described(given: Given) -> dict[str, Any]:
    """An interface as JSON for programs of ours: the fields of `Given`, by name."""
    return fields_of(given)


def documents(*, pod: PodSandbox, given: Sequence[Given]) -> dict[str, str]:
    """The files of the directory, by name; the arguments are those of `metadata_json`."""
    return {METADATA: metadata_json(pod=pod, given=given), NETWORK_STATUS: network_status_json(given)}


# -- Kubernetes' device metadata -------------------------------------------------------------------------------------


def metadata_json(*, pod: PodSandbox, given: Sequence[Given]) -> str:
    """The interfaces as Kubernetes has device metadata (KEP-5304): a JSON stream, one version of the API on each line.

    Each line is a `DeviceMetadata` of `metadata.resource.k8s.io` (k8s.io/dynamic-resource-allocation/api/metadata of
    Kubernetes 1.37). There the object is of a ResourceClaim; here it is of the pod. Each entry of the pod's annotations
    is a request, `request-1` and so on; its devices are the interfaces that it got. They are of the driver
    `nri-netdev.io` and the pool `host`, and named as on the host, as far as DNS allows. Attributes whose values that
    API has no room for are left out.

    Args:
        pod: the pod.
        given: its interfaces.
    """
    body = {
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "requests": [*_requests(given)],
    }
    versions = (
        {"apiVersion": f"metadata.resource.k8s.io/{version}", "kind": "DeviceMetadata"} for version in _VERSIONS
    )
    return "".join(json.dumps({**version, **body}, separators=(",", ":")) + "\n" for version in versions)


def _requests(given: Sequence[Given]) -> Iterator[Mapping[str, Any]]:
    names = _distinct([one.ifname for one in given], _dns_label, "-")
    requests: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for one, name in zip(given, names, strict=True):
        requests.setdefault((one.annotation, one.entry), []).append(_device(one, name))
    for number, devices in enumerate(requests.values(), start=1):
        yield {"name": f"request-{number}", "devices": devices}


def _device(given: Given, name: str) -> Mapping[str, Any]:
    network = {
        "interfaceName": given.inside,
        "ips": [*dict.fromkeys(given.addresses)][:_IPS],
        "hardwareAddress": given.mac,
    }
    return {
        "driver": _DOMAIN,
        "pool": _POOL,
        "name": name,
        "attributes": dict(_attributes(given)),
        "networkData": {key: value for key, value in network.items() if value},
    }


def _attributes(given: Given) -> Iterator[tuple[str, Attribute]]:
    values: Mapping[str, str | int | tuple[str, ...] | None] = {
        "resource.kubernetes.io/pciBusID": given.own_pci,
        "resource.kubernetes.io/numaNode": given.numa_node,
        f"{_DOMAIN}/ifName": given.ifname,
        f"{_DOMAIN}/kind": given.kind,
        f"{_DOMAIN}/share": given.share,
        f"{_DOMAIN}/driver": given.driver,
        f"{_DOMAIN}/mac": given.mac,
        f"{_DOMAIN}/mtu": given.mtu,
        f"{_DOMAIN}/gateways": given.gateways,
        f"{_DOMAIN}/routes": given.routes,
        f"{_DOMAIN}/rdma": given.rdma,
        f"{_DOMAIN}/rdmaDevices": given.rdma_devices,
        f"{_DOMAIN}/children": given.children,
        f"{_DOMAIN}/annotation": given.annotation,
        f"{_DOMAIN}/entry": given.entry,
        f"{_DOMAIN}/claim": given.mark,
    }
    for name, value in values.items():
        if isinstance(value, int):
            yield name, {"int": value}
        elif value:
            texts = (value,) if isinstance(value, str) else value
            if all(len(text.encode(errors="replace")) <= _VALUE_BYTES for text in texts):
                yield name, {"string": value} if isinstance(value, str) else {"strings": [*texts]}


# -- Multus' network status ------------------------------------------------------------------------------------------


def network_status_json(given: Iterable[Given]) -> str:
    """The interfaces as Multus writes them into the annotation `k8s.v1.cni.cncf.io/network-status`.

    The fields are those of `NetworkStatus` of the Network Plumbing Working Group's network-attachment-definition-client
    1.7, and of its device-info-spec 1.1.0. `name` is `nri-netdev/` and the name on the host. As with Multus, `ips` are
    without prefix lengths. None is the `default`: that is the pod's interface of the cluster network. A share has no
    `device-info`, since the PCI device is not the pod's.
    """
    return json.dumps([*map(_status, given)], indent=2) + "\n"


def _status(given: Given) -> Mapping[str, Any]:
    device = {"pci-address": given.own_pci, "rdma-device": given.rdma}
    status = {
        "name": f"nri-netdev/{given.ifname}",
        "interface": given.inside,
        "ips": [address.partition("/")[0] for address in given.addresses],
        "mac": given.mac,
        "mtu": given.mtu,
        "gateway": [*given.gateways],
        "device-info": given.own_pci
        and {"type": "pci", "version": "1.1.0", "pci": {key: value for key, value in device.items() if value}},
    }
    return {**{key: value for key, value in status.items() if value}, "dns": {}}


# -- environment -----------------------------------------------------------------------------------------------------


def environment(given: Sequence[Given]) -> dict[str, str]:
    """The environment variables that tell of the interfaces, as far as is known before they arrive.

    `NRI_NETDEV_INTERFACES` has the names inside, with commas; `NRI_NETDEV_METADATA` the path of `metadata.json`. Each
    interface has `NRI_NETDEV_<NAME>_HOST`, `_NAME`, `_MAC`, `_PCI`, `_ADDRESSES` (with commas) and `_MTU`, without
    those that are empty. `<NAME>` is the name inside in upper case, with `_` for whatever is not A to Z or 0 to 9.
    Where that is the same for several, the first of them in the order of their names has it, and the others get `_2`,
    `_3` … at its end, whichever is free.
    """
    variables = {
        ENV_INTERFACES: ",".join(one.inside for one in given),
        f"{ENV_PREFIX}METADATA": f"{MOUNT_POINT}/{METADATA}",
    }
    by_name = sorted(given, key=lambda one: one.inside)
    names = _distinct([one.inside for one in by_name], _variable, "_")
    for one, name in zip(by_name, names, strict=True):
        values = {
            "HOST": one.ifname.encode(errors="replace").decode(),  # a host's name may be no UTF-8, which NRI must have
            "NAME": one.inside,
            "MAC": one.mac,
            "PCI": one.own_pci,
            "ADDRESSES": ",".join(one.addresses),
            "MTU": one.mtu and str(one.mtu),
        }
        variables |= {f"{ENV_PREFIX}{name}_{key}": value for key, value in values.items() if value}
    return variables


# -- names -----------------------------------------------------------------------------------------------------------


def _variable(ifname: str) -> str:
    return re.sub("[^A-Z0-9]", "_", ifname.upper())


def _dns_label(ifname: str) -> str:
    """Lower case, digits and inner hyphens."""
    return re.sub("[^a-z0-9]+", "-", ifname.lower()).strip("-") or "interface"


def _distinct(ifnames: Sequence[str], spell: Callable[[str], str], joint: str) -> list[str]:
    """Names spelt otherwise, each once: the first has the spelling itself, others a number from 2 that is free."""
    spelt = [spell(ifname) for ifname in ifnames]
    used = {*spelt}
    seen: set[str] = set()
    names = []
    for name in spelt:
        free = name
        if name in seen:
            numbered = (f"{name}{joint}{number}" for number in itertools.count(2))
            free = next(one for one in numbered if one not in used)
        seen.add(name)
        used.add(free)
        names.append(free)
    return names
