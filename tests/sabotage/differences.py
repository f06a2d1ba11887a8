"""Compares two dumps, and what differs with what a claim says is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tests.sabotage.dumps import SLACK_S, Dump, Fact

WORDS: dict[str, tuple[str, ...]] = {
    "address": ("mac",),
    "broadcast": ("broadcast",),
    "flags": ("flags", "up", "down"),
    "operstate": ("up", "down"),
    "ifname": ("name", "called"),
    "txqlen": ("queue length",),
    "tx_queue_len": ("queue length",),
    "ifalias": ("alias",),
    "altnames": ("alternative name",),
    "netdev_group": ("group",),
    "inet6_addr_gen_mode": ("addr_gen_mode",),
    "linkmode": ("link mode",),
    "link_mode": ("link mode",),
    "dormant": ("link mode",),
    "proto_down": ("protocol down",),
    "protodown": ("protocol down",),
    "promiscuity": ("promisc", "flags"),
    "allmulti": ("allmulti", "flags"),
    "qdisc": ("qdisc",),
    "master": ("its place in", "master", "enslave"),
    "xdp": ("xdp",),
    "token": ("token",),
    "bpf": ("program", "tcx", "xdp"),
    "rule": ("rule",),
    "class": ("class",),
    "filter": ("filter",),
    "nexthop": ("nexthop",),
    "fdb": ("entry", "fdb", "forwarding"),
    "mdb": ("multicast", "mdb"),
    "vlan": ("vlan",),
    "bridge port": ("its place in", "port"),
    "nftables": ("nftables", "netfilter"),
    "address order": ("order",),
    "lifetime": ("lifetime", "address", "route"),
    "mtu": ("mtu",),
}
"""Words of the tools, and others that mean the same to a reader of `nri-netdev claims`, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact that is not as before."""

    section: str
    subject: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        return f"{self.section}: {self.subject}: {self.was if self.was is not None else '(absent)'} -> {self.now or '(absent)'}"

    @property
    def words(self) -> tuple[str, ...]:
        """Any of these in a trouble names it."""
        _, _, what = self.subject.partition(" ")
        leaf = what.rpartition(".")[2].rpartition("/")[2].rpartition(" ")[2] or self.section
        own = (leaf.lower(), leaf.lower().replace("_", " "))
        return (*own, *WORDS.get(leaf, ()), *WORDS.get(self.section, ()))


def compare(before: Dump, after: Dump) -> list[Difference]:
    """What differs, in the order of sections and subjects."""
    gone, come = before.facts - after.facts, after.facts - before.facts
    subjects = sorted({(fact.section, fact.subject) for fact in (*gone, *come)})
    found = []
    for section, subject in subjects:
        was, now = (_texts(side, section, subject) for side in (gone, come))
        found.append(Difference(section=section, subject=subject, was=was, now=now))
    for key in sorted(before.moments.keys() | after.moments.keys()):
        ends = [side.moments.get(key) for side in (before, after)]
        if None in ends or abs(ends[0] - ends[1]) > SLACK_S:  # type: ignore[operator]
            texts = ["never" if end is None else f"{end:.0f} s" for end in ends]
            found.append(Difference(section="lifetime", subject=" ".join(key), was=texts[0], now=texts[1]))
    return found


def _texts(side: Iterable[Fact], section: str, subject: str) -> str | None:
    texts = [fact.text for fact in side if (fact.section, fact.subject) == (section, subject)]
    return " + ".join(sorted(texts)) if texts else None


def unnamed(differences: Iterable[Difference], troubles: Iterable[str]) -> list[Difference]:
    """The differences that no trouble of the claim names, the mark of the claim aside."""
    told = "\n".join(troubles).lower()
    return [each for each in differences if not any(word in told for word in each.words) and not _follows(each, told)]


def _follows(difference: Difference, told: str) -> bool:
    """Whether a difference is only the mark, which stays while a claim does."""
    if difference.section != "link" or not difference.subject.endswith(" altnames") or not told:
        return False
    was, now = (set(json.loads(side or "[]")) for side in (difference.was, difference.now))
    return all(name.startswith("nri-netdev-") for name in was ^ now)
