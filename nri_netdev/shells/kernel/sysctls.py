"""Sysctls of interfaces: read, compared with the defaults of their netns, written.

A thread in the netns reads the files. There are some hundred for each interface, and each takes three system calls. But
the message of a link contains most of them (`IFLA_AF_SPEC`): that attribute is the key of a cache of their values, and
only the files of the others are read each time.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.libc import translated

_SYSCTL_ROOT = Path("/proc/sys/net")
_SYSCTL_BYTES = 4096

SYSCTL_GROUPS = ("ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh")
"""Where the kernel keeps sysctls per interface."""

_UNSETTABLE = frozenset(
    {
        "ipv4/conf/mc_forwarding",  # state: whether a multicast router runs
        "ipv6/conf/mc_forwarding",
        "ipv6/conf/mtu",  # follows the interface's own, see `sysctls`
        "ipv4/neigh/base_reachable_time",  # in old units; another sysctl has it in milliseconds or bytes
        "ipv4/neigh/retrans_time",
        "ipv4/neigh/unres_qlen",
        "ipv6/neigh/base_reachable_time",
        "ipv6/neigh/retrans_time",
        "ipv6/neigh/unres_qlen",
    }
)

_IN_LINK_IPV4 = """
    accept_local accept_redirects accept_source_route arp_accept arp_announce arp_evict_nocarrier arp_filter
    arp_ignore arp_notify bc_forwarding bootp_relay disable_policy disable_xfrm drop_gratuitous_arp
    drop_unicast_in_l2_multicast force_igmp_version forwarding igmpv2_unsolicited_report_interval
    igmpv3_unsolicited_report_interval ignore_routes_with_linkdown log_martians medium_id promote_secondaries
    proxy_arp proxy_arp_pvlan route_localnet rp_filter secure_redirects send_redirects shared_media src_valid_mark
    tag
"""
_IN_LINK_IPV6 = """
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
_IN_LINK = frozenset(
    f"{group}/{name}"
    for group, names in (("ipv4/conf", _IN_LINK_IPV4), ("ipv6/conf", _IN_LINK_IPV6))
    for name in names.split()
)
"""The sysctls in `IFLA_INET_CONF` and `IFLA_INET6_CONF`: equal attributes mean equal values. Newer kernels add others,
which are read from their files."""
_CACHE_ENTRIES = 64
"""Sets of values; interfaces that nobody has tuned share one."""


class SysctlDefaults:
    """The sysctls that a new interface has, in the netns of the thread that makes this.

    The files stay open: reading an open one takes half a microsecond, and there are some hundred.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self.groups: dict[str, list[str]] = {}
        """Names of sysctls, for each of `SYSCTL_GROUPS` with defaults. Only the initial netns has defaults for
        neighbours."""
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
        """The present default of a sysctl such as `ipv4/conf/rp_filter`; None if there is none."""
        fd = self._files.get(key)
        if fd is None:
            return None
        try:
            return os.pread(fd, _SYSCTL_BYTES, 0)
        except OSError:
            return None


class Sysctls:
    """Reads sysctls of interfaces in the netns of the thread that makes this; it must be in that netns to read."""

    def __init__(self) -> None:
        self._defaults = SysctlDefaults()
        self._cache: dict[bytes, dict[str, bytes]] = {}
        self._unlinked = {
            group: [name for name in names if f"{group}/{name}" not in _IN_LINK | _UNSETTABLE]
            for group, names in self._defaults.groups.items()
        }

    def __enter__(self) -> Self:
        self._defaults.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._defaults.__exit__(kind, error, trace)

    def default(self, key: str) -> str | None:
        """The present default of a sysctl; None if there is none."""
        value = self._defaults[key]
        return None if value is None else value.decode("ascii").strip()

    def differing(self, ifname: str, conf: bytes = b"") -> Mapping[str, str]:
        """The sysctls of an interface that differ from the netns's default, by keys like `ipv4/conf/rp_filter`.

        Those that have no default here are all in it: only the initial netns has defaults for neighbours.

        Args:
            ifname: the interface; without one of this name the result is empty.
            conf: the sysctls in its link message (`capture.conf_of`); empty if not known, then every file is read.

        Raises:
            KernelError: The name could lead out of the directory.
        """
        values = dict(self._cache.get(conf, {}))
        is_known = bool(values)
        for group in SYSCTL_GROUPS:
            with suppress(FileNotFoundError), _directory(_sysctl_directory(group, ifname)) as directory_fd:
                is_listed = is_known and group in self._unlinked
                names = self._unlinked[group] if is_listed else os.listdir(directory_fd)  # noqa: PTH208 - by its fd
                for name in names:
                    key = f"{group}/{name}"
                    value = None if key in _UNSETTABLE else _read_bytes(name, directory_fd)
                    if value is not None:
                        values[key] = value
        if conf and not is_known:
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[conf] = {key: value for key, value in values.items() if key in _IN_LINK}
        return {key: value.decode("ascii").strip() for key, value in values.items() if value != self._defaults[key]}


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    """Open a directory: opening a file relative to it is faster, and there are some hundred."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


class Ipv6:
    """Whether interfaces that come into the netns of the thread that makes this may have IPv6 addresses.

    Any thread may ask: an open sysctl file belongs to the netns in which it was opened.

    Args:
        ifname: an interface that is in the netns; without one the netns's default counts.

    Raises:
        KernelError: The name could lead out of the directory.
    """

    def __init__(self, ifname: str | None = None) -> None:
        directory = _SYSCTL_ROOT / "ipv6/conf/default" if ifname is None else _sysctl_directory("ipv6/conf", ifname)
        try:
            self._fd = os.open(directory / "disable_ipv6", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def is_on(self) -> bool:
        """Whether that is so now."""
        try:
            return self._fd >= 0 and os.pread(self._fd, 1, 0) == b"0"
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)


def has_ipv6(ifname: str | None = None) -> bool:
    """Whether IPv6 is on in the calling thread's netns, by default or for one interface; see `Ipv6`."""
    with closing(Ipv6(ifname)) as ipv6:
        return ipv6.is_on()


def read_sysctl(ifname: str, key: str) -> str | None:
    """One sysctl of an interface; None if it does not exist or has no value.

    Raises:
        KernelError: The name could lead out of the directory.
    """
    group, _, name = key.rpartition("/")
    return _read(_sysctl_directory(group, ifname) / name)


def write_sysctl(ifname: str, key: str, value: str) -> None:
    """Set one sysctl of an interface.

    Raises:
        KernelError: The name could lead out of the directory, or the kernel refuses.
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
    """The directory of an interface's sysctls. Never in dotted notation: a name may contain dots."""
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
    except OSError:  # stable_secret gives EIO while unset; some are write-only
        return None
    finally:
        os.close(fd)
