"""Sysctls of interfaces: read, compared with the defaults of their netns, written.

Their files are read by the thread that is in the netns. There are some hundred for each interface, three system calls
each; so what the kernel tells of most of them with the interface itself (`IFLA_AF_SPEC`) is the key under which their
values are remembered, and only what it does not tell is read each time.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.netns import translated

_SYSCTL_ROOT = Path("/proc/sys/net")
_SYSCTL_BYTES = 4096

SYSCTL_GROUPS = ("ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh")
"""Where the kernel keeps sysctls per interface."""

_UNSETTABLE = frozenset(
    {
        "ipv4/conf/mc_forwarding",  # says whether a multicast router runs
        "ipv6/conf/mc_forwarding",
        "ipv6/conf/mtu",  # follows the interface's own, see `sysctls`
        "ipv4/neigh/base_reachable_time",  # the old units of what is also there in milliseconds or bytes
        "ipv4/neigh/retrans_time",
        "ipv4/neigh/unres_qlen",
        "ipv6/neigh/base_reachable_time",
        "ipv6/neigh/retrans_time",
        "ipv6/neigh/unres_qlen",
    }
)

_TOLD_IPV4 = """
    accept_local accept_redirects accept_source_route arp_accept arp_announce arp_evict_nocarrier arp_filter
    arp_ignore arp_notify bc_forwarding bootp_relay disable_policy disable_xfrm drop_gratuitous_arp
    drop_unicast_in_l2_multicast force_igmp_version forwarding igmpv2_unsolicited_report_interval
    igmpv3_unsolicited_report_interval ignore_routes_with_linkdown log_martians medium_id promote_secondaries
    proxy_arp proxy_arp_pvlan route_localnet rp_filter secure_redirects send_redirects shared_media src_valid_mark
    tag
"""
_TOLD_IPV6 = """
    accept_dad accept_ra accept_ra_defrtr accept_ra_from_local accept_ra_min_hop_limit accept_ra_min_lft
    accept_ra_mtu accept_ra_pinfo accept_ra_rt_info_max_plen accept_ra_rt_info_min_plen accept_ra_rtr_pref
    accept_redirects accept_source_route accept_untracked_na addr_gen_mode autoconf dad_transmits disable_ipv6
    disable_policy drop_unicast_in_l2_multicast drop_unsolicited_na enhanced_dad force_mld_version force_tllao
    forwarding hop_limit ignore_routes_with_linkdown ioam6_enabled ioam6_id ioam6_id_wide keep_addr_on_down
    max_addresses max_desync_factor mldv1_unsolicited_report_interval mldv2_unsolicited_report_interval
    ndisc_evict_nocarrier ndisc_notify ndisc_tclass optimistic_dad proxy_ndp ra_defrtr_metric regen_max_retry
    router_probe_interval router_solicitation_delay router_solicitation_interval router_solicitation_max_interval
    router_solicitations rpl_seg_enabled seg6_enabled seg6_require_hmac suppress_frag_ndisc temp_prefered_lft
    temp_valid_lft use_oif_addrs_only use_optimistic use_tempaddr
"""
_TOLD = frozenset(
    f"{group}/{name}"
    for group, names in (("ipv4/conf", _TOLD_IPV4), ("ipv6/conf", _TOLD_IPV6))
    for name in names.split()
)
"""Those that are in `IFLA_INET_CONF` and `IFLA_INET6_CONF`: where these are the same, so are they. Newer ones are not
always there, so what is not in this table is read."""
_REMEMBERED = 64
"""Sets of values; interfaces that nobody has tuned share one."""


class SysctlDefaults:
    """What an interface begins with in the netns of the thread that makes this.

    The files stay open: reading one takes half a microsecond then, and there are some hundred.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self.groups: dict[str, list[str]] = {}
        """The names that interfaces have, in those of `SYSCTL_GROUPS` that have defaults; only the first netns has them
        for neighbours."""
        for group in SYSCTL_GROUPS:
            with suppress(FileNotFoundError), _directory(_SYSCTL_ROOT / group / "default") as directory_fd:
                own = os.listdir(_SYSCTL_ROOT / group / "lo")  # noqa: PTH208 - hot
                self.groups[group] = [name for name in os.listdir(directory_fd) if name in own]  # noqa: PTH208
                for name in self.groups[group]:
                    if (key := f"{group}/{name}") not in _UNSETTABLE:
                        with suppress(OSError):
                            self._files[key] = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()

    def __getitem__(self, key: str) -> bytes | None:
        """What it begins with now; None if that is nothing."""
        fd = self._files.get(key)
        if fd is None:
            return None
        try:
            return os.pread(fd, _SYSCTL_BYTES, 0)
        except OSError:
            return None


class Sysctls:
    """Reads the sysctls of interfaces in the netns of the thread that makes this, which must be in it to read."""

    def __init__(self) -> None:
        self._defaults = SysctlDefaults()
        self._remembered: dict[bytes, dict[str, bytes]] = {}
        self._untold = {
            group: [name for name in names if f"{group}/{name}" not in _TOLD | _UNSETTABLE]
            for group, names in self._defaults.groups.items()
        }

    def __enter__(self) -> Self:
        self._defaults.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._defaults.__exit__(kind, error, trace)

    def differing(self, ifname: str, told: bytes = b"") -> Mapping[str, str]:
        """The sysctls of an interface that differ from the netns's default, by keys like `ipv4/conf/rp_filter`.

        Args:
            ifname: the interface; if there is none of this name it has no sysctls.
            told: what the kernel says of those in `_TOLD` (`told_of_sysctls`); nothing if that is not known.

        Raises:
            KernelError: The name could lead elsewhere.
        """
        values = dict(self._remembered.get(told, {}))
        is_known = bool(values)
        for group in self._defaults.groups:
            with suppress(FileNotFoundError), _directory(_sysctl_directory(group, ifname)) as directory_fd:
                names = self._untold[group] if is_known else os.listdir(directory_fd)  # noqa: PTH208 - by its fd
                for name in names:
                    key = f"{group}/{name}"
                    value = None if key in _UNSETTABLE else _read_bytes(name, directory_fd)
                    if value is not None:
                        values[key] = value
        if told and not is_known:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[told] = {key: value for key, value in values.items() if key in _TOLD}
        return {key: value.decode("ascii").strip() for key, value in values.items() if value != self._defaults[key]}


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    """Open a directory: what is in it is found faster from there, and there are some hundred sysctls."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


class Ipv6:
    """Whether an interface that comes into the netns of the thread that makes this may have IPv6 addresses there.

    May be asked from anywhere: an open file of sysctls stays with the netns that it was opened in.
    """

    def __init__(self) -> None:
        try:
            path = _SYSCTL_ROOT / "ipv6/conf/default/disable_ipv6"
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def is_there(self) -> bool:
        """As it is now."""
        try:
            return self._fd >= 0 and os.pread(self._fd, 1, 0) == b"0"
        except OSError:
            return False

    def close(self) -> None:
        """Ask no more."""
        if self._fd >= 0:
            os.close(self._fd)


def read_sysctl(ifname: str, key: str) -> str | None:
    """One sysctl of an interface; None if there is no such, or it has no value.

    Raises:
        KernelError: The name could lead elsewhere.
    """
    group, _, name = key.rpartition("/")
    return _read(_sysctl_directory(group, ifname) / name)


def write_sysctl(ifname: str, key: str, value: str) -> None:
    """Set one sysctl of an interface.

    Raises:
        KernelError: The name could lead elsewhere, or the kernel refuses.
    """
    group, _, name = key.rpartition("/")
    path = _sysctl_directory(group, ifname) / name
    with translated(f"set sysctl {key} of {ifname} to {value}"):
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode("ascii"))
        finally:
            os.close(fd)


def _sysctl_directory(group: str, ifname: str) -> Path:
    """The directory of an interface's sysctls. By path and never in dotted notation: a name may hold dots."""
    if not re.fullmatch(r"[^/:\s]{1,15}", ifname) or ifname in {".", "..", "all", "default"}:
        raise KernelError(action=f"find sysctls of {ifname!r}", errno=errno.EINVAL, reason="not an interface's name")
    return _SYSCTL_ROOT / group / ifname


def _read(path: Path) -> str | None:
    value = _read_bytes(path)
    return None if value is None else value.decode("ascii").strip()


def _read_bytes(path: str | Path, directory_fd: int | None = None) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    except OSError:
        return None
    try:
        return os.read(fd, _SYSCTL_BYTES)
    except OSError:  # stable_secret is EIO while it has none; some can only be written
        return None
    finally:
        os.close(fd)
