"""Sets by ethtool what a pod asks for: private flags, channels, rings, coalescing, features.

What is so already is not set, as some drivers reset the link for it. What is set is read back: some drivers accept
what they then do otherwise. Numbers are those of `linux/ethtool_netlink.h`.
"""

from __future__ import annotations

import errno
import fnmatch
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nri_netdev.domain.children import listing
from nri_netdev.domain.setup.ethtool_names import CHANNELS, COALESCE, FEATURE_ALIASES, RINGS
from nri_netdev.domain.setup.values import EthtoolSetup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, from_text, pack, to_int, to_text, walk
from nri_netdev.shells.kernel.facets.ethtool import ask
from nri_netdev.shells.kernel.facets.facet import Site
from nri_netdev.shells.kernel.rtnetlink import Rtnl


def apply_ethtool(rtnl: Rtnl, ifindex: int, wanted: EthtoolSetup) -> None:
    """Set on an interface what is wanted and not so yet. To call it again does nothing.

    Private flags come first, as they decide what a driver can besides; features last, as they may need queues.

    Args:
        rtnl: a socket of the netns of the interface, in which the calling thread is.
        ifindex: the interface.
        wanted: what is to be set.

    Raises:
        KernelError: A name is unknown, the driver cannot do it, or has not done it. What comes before it is set.
    """
    site = Site(rtnl, ifindex)
    _apply_private_flags(site, wanted.private_flags)
    _apply_numbers(site, _CHANNELS, wanted.channels)
    _apply_numbers(site, _RINGS, wanted.rings)
    _apply_numbers(site, _COALESCE, wanted.coalesce)
    _apply_features(site, wanted.features)


def _impossible(action: str, reason: str, number: int = errno.EOPNOTSUPP, *, hint: str = "") -> KernelError:
    return KernelError(action=action, errno=number, reason=reason, hint=hint, refusal=Reason.ANNOTATION)


def _read(site: Site, field: str, command: int) -> Mapping[int, bytes]:
    """The attributes of what the kernel answers, with bitsets in words."""
    try:
        replies = ask(site, f"read {field} of interface {site.ifindex}", command, flags=0)
    except KernelError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise _impossible(f"set {field}", "this driver has none") from error
    if not replies:
        raise _impossible(f"set {field}", "this kernel has no netlink of ethtool")
    return attributes(replies[0])


def _set(site: Site, field: str, wanted: Mapping[str, object], request: tuple[int, bytes]) -> None:
    """Send a request that sets some names of a field to what is wanted."""
    action = "set " + listing([f"{field}.{name} to {_shown(value)}" for name, value in wanted.items()])
    command, attrs = request
    try:
        ask(site, action, command, attrs, flags=0)
    except KernelError as error:
        reason = error.reason or ("this driver cannot set it" if error.errno == errno.EOPNOTSUPP else "")
        raise _impossible(action, reason, error.errno) from error


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- numbers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """A field of the annotation whose values are numbers."""

    field: str
    names: Mapping[str, int]
    """Attributes by name."""
    get: int
    set: int
    to_maximum: int | None = None
    """What to add to the number of an attribute for that of its maximum; None where there are none."""


_CHANNELS = _Numbers(field="ethtool.channels", names=CHANNELS, get=17, set=18, to_maximum=-4)
_RINGS = _Numbers(field="ethtool.rings", names=RINGS, get=15, set=16, to_maximum=-4)
_COALESCE = _Numbers(field="ethtool.coalesce", names=COALESCE, get=19, set=20)

_U32_MAX = 0xFFFFFFFF
_ADAPTIVE = {"rx-usecs": 11, "rx-frames": 11, "tx-usecs": 12, "tx-frames": 12}
"""What a driver chooses itself while the switch of this number is on."""


def _apply_numbers(site: Site, kind: _Numbers, wanted: Mapping[str, int]) -> None:
    if not wanted:
        return
    _known(kind.field, wanted, kind.names)
    before = _read(site, kind.field, kind.get)
    for name, value in wanted.items():
        _check_bounds(kind, name, value, before)
    differing = {name: value for name, value in wanted.items() if to_int(before[kind.names[name]]) != value}
    if not differing:
        return
    numbers = {kind.names[name]: value for name, value in differing.items()}
    request = b"".join(
        pack(number, value.to_bytes(len(before[number]), sys.byteorder)) for number, value in sorted(numbers.items())
    )
    _set(site, kind.field, differing, (kind.set, request))
    after = _read(site, kind.field, kind.get)
    for name, value in wanted.items():
        now = to_int(after.get(kind.names[name]))
        if now != value and not (kind is _COALESCE and any(after.get(_ADAPTIVE.get(name, 0), b""))):
            reason = f"the driver has made it {now}; ask for that"
            raise _impossible(f"set {kind.field}.{name} to {value}", reason, errno.EINVAL)


def _known(field: str, wanted: Iterable[str], names: Iterable[str]) -> None:
    """Refuse a name that is not among those that there are."""
    every = [*names]
    for name in wanted:
        if name not in every:
            raise _impossible(f"set {field}.{name}", f"there is no such name, but {', '.join(every)}", errno.EINVAL)


def _check_bounds(kind: _Numbers, name: str, value: int, before: Mapping[int, bytes]) -> None:
    """Refuse what the driver lacks, and a value above its maximum."""
    action, number = f"set {kind.field}.{name} to {value}", kind.names[name]
    if number not in before:
        raise _impossible(action, "this driver has none")
    maximum = 1 if len(before[number]) == 1 else _U32_MAX
    if kind.to_maximum is not None:
        maximum = to_int(before.get(number + kind.to_maximum)) or 0
    if not 0 <= value <= maximum:
        raise _impossible(action, f"the maximum is {maximum}", errno.EINVAL)


# -- switches by name --------------------------------------------------------------------------------------------------

_NOMASK, _BITS, _BIT, _BIT_NAME, _BIT_VALUE = 1, 3, 1, 2, 3


def _switches(bitset: bytes) -> dict[str, bool]:
    """The bits of a bitset in words, by name; of one without a mask those that are on, and these have no value."""
    bits = attributes(bitset)
    has_mask = _NOMASK not in bits
    parts = (attributes(bit) for _, bit in walk(bits.get(_BITS, b"")))
    return {to_text(part.get(_BIT_NAME)) or "": _BIT_VALUE in part or not has_mask for part in parts}


def _pack_switches(number: int, wanted: Mapping[str, bool]) -> bytes:
    """A bitset in words that sets these and leaves the rest."""
    bits = (
        pack(_BIT | NLA_F_NESTED, pack(_BIT_NAME, from_text(name)) + (pack(_BIT_VALUE, b"") if is_on else b""))
        for name, is_on in wanted.items()
    )
    return pack(number | NLA_F_NESTED, pack(_BITS | NLA_F_NESTED, b"".join(bits)))


_PRIVATE_FLAGS = "ethtool.private_flags"
_PRIVFLAGS_GET, _PRIVFLAGS_SET, _FLAGS = 13, 14, 2


def _apply_private_flags(site: Site, wanted: Mapping[str, bool]) -> None:
    if not wanted:
        return
    before = _switches(_read(site, _PRIVATE_FLAGS, _PRIVFLAGS_GET).get(_FLAGS, b""))
    if not before:
        raise _impossible(f"set {_PRIVATE_FLAGS}", "this driver has none")
    _known(_PRIVATE_FLAGS, wanted, before)
    differing = {name: is_on for name, is_on in wanted.items() if before[name] is not is_on}
    if not differing:
        return
    _set(site, _PRIVATE_FLAGS, differing, (_PRIVFLAGS_SET, _pack_switches(_FLAGS, differing)))
    after = _switches(_read(site, _PRIVATE_FLAGS, _PRIVFLAGS_GET).get(_FLAGS, b""))
    for name, is_on in wanted.items():
        if after.get(name) is not is_on:
            raise _impossible(f"set {_PRIVATE_FLAGS}.{name} to {_shown(is_on)}", "the driver has not done it")


# -- features ----------------------------------------------------------------------------------------------------------

_FEATURES = "ethtool.features"
_FEATURES_GET, _FEATURES_SET = 11, 12
_HW, _WANTED, _ACTIVE, _NOCHANGE = 2, 3, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Features:
    """The features of an interface, by the kernel's names."""

    every: frozenset[str]
    changeable: frozenset[str]
    wanted: frozenset[str]
    """Those that are to be on as soon as what they need is."""
    active: frozenset[str]

    def of(self, name: str) -> frozenset[str]:
        """The features that a name of ethtool stands for; none if the kernel has no such feature."""
        pattern = FEATURE_ALIASES.get(name)
        return self.every & {name} if pattern is None else frozenset(fnmatch.filter(self.every, pattern))

    def has(self, features: frozenset[str], *, is_on: bool) -> bool:
        """Whether they are on or off as `ethtool -k` tells it: of several, on if any is."""
        return bool(features & self.active) is is_on


def _read_features(site: Site) -> _Features:
    found = {number: _switches(value) for number, value in _read(site, _FEATURES, _FEATURES_GET).items() if number > 1}
    on = {number: frozenset(name for name, is_on in each.items() if is_on) for number, each in found.items()}
    return _Features(
        every=frozenset(found.get(_HW, {})) - {""},
        changeable=on.get(_HW, frozenset()) - on.get(_NOCHANGE, frozenset()),
        wanted=on.get(_WANTED, frozenset()),
        active=on.get(_ACTIVE, frozenset()),
    )


def _apply_features(site: Site, wanted: Mapping[str, bool]) -> None:
    if not wanted:
        return
    before = _read_features(site)
    for name, is_on in wanted.items():
        _check_changeable(before, name, is_on=is_on)
    by_feature = _by_feature(before, wanted)
    differing = {
        feature: is_on
        for feature, is_on in by_feature.items()
        if feature in before.changeable and {feature in before.active, feature in before.wanted} != {is_on}
    }
    if differing:
        asked = {name: is_on for name, is_on in wanted.items() if before.of(name) & differing.keys()}
        _set(site, _FEATURES, asked, (_FEATURES_SET, _pack_switches(_WANTED, differing)))
        _check_features(_read_features(site), by_feature, wanted)


def _check_features(after: _Features, by_feature: Mapping[str, bool], wanted: Mapping[str, bool]) -> None:
    """Refuse what is not as wanted: the kernel takes what it then does not do, as others are off that it needs."""
    for name, is_on in wanted.items():
        own = (one for one in after.of(name) & after.changeable if by_feature[one] is is_on)
        left = sorted(one for one in own if (one in after.active) is not is_on)
        if left:
            reason = f"the kernel has taken it and has {listing(left)} {_on(not is_on)}"
            hint = "a feature may need others to be on or off, as tso needs sg"
            raise _impossible(f"set {_FEATURES}.{name} to {_shown(is_on)}", reason, hint=hint)


def _by_feature(features: _Features, wanted: Mapping[str, bool]) -> dict[str, bool]:
    """What is wanted of each feature; one that is named by itself goes before the several that it is among."""
    names = sorted(wanted, key=lambda name: len(features.of(name)), reverse=True)
    found = {feature: wanted[name] for name in names for feature in sorted(features.of(name))}
    for name, is_on in wanted.items():
        if all(found[feature] is not is_on for feature in features.of(name)):
            reason = "another name sets the same feature otherwise"
            raise _impossible(f"set {_FEATURES}.{name} to {_shown(is_on)}", reason, errno.EINVAL)
    return found


def _check_changeable(features: _Features, name: str, *, is_on: bool) -> None:
    """Refuse a feature that the kernel does not know, and one that the driver has fixed otherwise."""
    own = features.of(name)
    if not own:
        reason = "this kernel has no such feature; `ethtool -k` names those that it has"
        raise _impossible(f"set {_FEATURES}.{name}", reason, errno.EINVAL)
    fixed = own - features.changeable
    is_fixed_otherwise = not own & features.changeable if is_on else bool(fixed & features.active)
    if is_fixed_otherwise and not features.has(own, is_on=is_on):
        reason = f"the driver has it fixed to {_on(not is_on)}"
        raise _impossible(f"set {_FEATURES}.{name} to {_shown(is_on)}", reason)


def _on(is_on: bool) -> str:
    return "on" if is_on else "off"
