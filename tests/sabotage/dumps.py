"""Everything about the links of this netns, as programs tell it that this project did not write.

A dump is a bag of facts: a section, what the fact is about, and its text. What may differ although all came home is
listed here, each with its reason; nothing else may.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNTOLD = {
    "ifindex": "another netns may have given the number away meanwhile",
    "link_index": "a number as ifindex is; `link` has the name",
    "iflink": "a number as ifindex is; `link` has the name",
    "netdev_index": "a number as ifindex is; `netdev` has the name",
    "link_netnsid": "a number that each netns has of its own for others",
    "stats64": "a counter",
    "refcnt": "a counter",
    "valid_life_time": "runs down; compared as a moment",
    "preferred_life_time": "runs down; compared as a moment",
    "expires": "runs down; compared as a moment",
    "used": "time since the last use",
    "updated": "time since the last change",
    "mcast_n_groups": "counts learned groups too; the entries are compared",
    "fdb_n_learned": "counts learned entries; the others are compared",
    "promiscuity": "counts users; the flags are compared",
    "allmulti": "counts users; the flags are compared",
    "brforward": "the entries of a bridge in bytes; they are compared as `bridge` tells them",
    "link_failure_count": "a counter",
    "ad_aggregator_id": "a number that a bond gives anew",
    "direct_packets_stat": "a counter",
    "carrier_changes": "a counter",
    "tx_timeout": "a counter",
    "carrier_down_count": "a counter",
    "carrier_up_count": "a counter",
    "name_assign_type": "says that it was renamed once; nothing sets it",
    "addr_assign_type": "says that its MAC was set once; nothing sets it",
    "uevent": "has the ifindex",
    "hits": "a counter",
    "success": "a counter",
    "rule_hit": "a counter",
    "timer": "runs down",
    "gc_timer": "runs down",
    "hello_timer": "runs down",
    "tcn_timer": "runs down",
    "topology_change_timer": "runs down",
    "hold_timer": "runs down",
    "message_age_timer": "runs down",
    "forward_delay_timer": "runs down",
    "change_ack": "state of the spanning tree protocol",
    "config_pending": "state of the spanning tree protocol",
}
"""What is left out of every record, by the tools' names."""

TIMERS = ("valid_life_time", "preferred_life_time", "expires")
FOREVER = 0xFFFFFFFF
SLACK_S = 5.0
"""How far apart two moments may be that are the same: kernel and tools round to seconds."""
_LEARNED_STATES = {"REACHABLE", "STALE", "DELAY", "PROBE", "INCOMPLETE", "FAILED", "NONE"}
"""Neighbours that the kernel finds by asking, and will find again."""
_MULTICAST = re.compile(r"ff|22[4-9]\.|23\d\.|255\.")
_NOT_IN_SYSFS = {"statistics", "device", "subsystem", "power", "byte_queue_limits", "lower", "upper", "macvtap"}
"""The last is the character device of a macvtap, named by its ifindex, which each netns numbers anew."""
_ETHTOOL = ("-k", "-c", "-g", "-l", "-a", "-x", "-w", "--show-priv-flags", "--show-eee", "--show-fec", "")
_QDISC_FILTERS = ("root", "ingress", "egress")


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """One thing that a tool says."""

    section: str
    subject: str
    """What it is about: `dev0 mtu`, `dev0 198.51.100.0/24`."""
    text: str
    """What is said of it."""


@dataclass(slots=True)
class Dump:
    """All that the tools say at one moment."""

    facts: Counter[Fact] = field(default_factory=Counter)
    moments: dict[tuple[str, str], float] = field(default_factory=dict)
    """When something ends, on the monotonic clock."""

    def add(self, section: str, subject: str, value: object) -> None:
        """Take one fact."""
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        self.facts[Fact(section, subject, text)] += 1

    def record(self, section: str, subject: str, record: dict[str, Any]) -> None:
        """Take one record of a tool as one fact, without what is never compared."""
        for name in TIMERS:
            left = record.get(name)
            if isinstance(left, int) and left != FOREVER:
                self.moments[section, f"{subject} {name}"] = time.monotonic() + left
        self.add(section, subject, _told(record))

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON has it, for another process."""
        return {
            "facts": [[fact.section, fact.subject, fact.text, count] for fact, count in self.facts.items()],
            "moments": [[*key, moment] for key, moment in self.moments.items()],
        }

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Dump:
        """What `as_json` made."""
        return cls(
            facts=Counter({Fact(*fact): count for *fact, count in told["facts"]}),
            moments={(section, subject): moment for section, subject, moment in told["moments"]},
        )


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _told(each) for name, each in value.items() if name not in UNTOLD}
    return [_told(each) for each in value] if isinstance(value, list) else value


def dump(ifname: str) -> Dump:
    """Ask every tool, in the netns of this thread.

    Args:
        ifname: the link of which even what is slow to read is wanted.
    """
    made = Dump()
    for read in (_read_ip, _read_rules, _read_bridge, _read_tc, _read_ethtool, _read_bpf, _read_nft, _read_rdma):
        read(made, ifname)
    for ipv in ("ipv4", "ipv6", "mpls"):
        _read_sysctls(made, ipv)
    for link in sorted(Path("/sys/class/net").iterdir()):
        if link.is_symlink():  # bonding_masters is a file
            _read_sysfs(made, link.name, link)
    return made


# -- ip ----------------------------------------------------------------------------------------------------------------


def _read_ip(made: Dump, ifname: str) -> None:
    questions = ("link show", "addr show", "maddr show", "token", "nexthop", "neigh show nud all")
    links, addrs, maddrs, tokens, nexthops, neighbours, *_ = _batch(["ip", "-d"], questions)
    for endpoint in json.loads(_run("ip", "-j", "mptcp", "endpoint", "show") or "[]"):
        made.record("mptcp", f"{endpoint.get('dev')} mptcp {endpoint['address']}", endpoint)
    for link in links:
        for path, value in _flat(_told(link)):
            made.add("link", f"{link['ifname']} {path}", value)
    for link in addrs:
        for address in link["addr_info"]:
            made.record("address", f"{link['ifname']} {address.get('local')}", address)
        order = [each.get("local") for each in link["addr_info"]]
        made.add("address order", f"{link['ifname']} address order", order)
    for link in maddrs:
        for group in link["maddr"]:
            made.record("multicast", f"{link['ifname']} {group.get('address', group.get('link'))}", group)
    for token in tokens:
        made.record("token", f"{token.get('ifname', token.get('dev'))} token", token)
    for nexthop in nexthops:
        made.record("nexthop", f"{nexthop.get('dev')} nexthop {nexthop['id']}", nexthop)
    for neighbour in neighbours:
        if not _is_learned(neighbour):
            made.record("neighbour", f"{neighbour['dev']} {neighbour['dst']}", _as_set(neighbour))


def _as_set(neighbour: dict[str, Any]) -> dict[str, Any]:
    """A neighbour without the state to which the kernel has taken on what a daemon of the host has learned."""
    return {k: v for k, v in neighbour.items() if k != "state"} if "extern_learn" in neighbour else neighbour


def _is_learned(neighbour: dict[str, Any]) -> bool:
    states = set(neighbour.get("state", ()))
    is_kernels = states == {"NOARP"} and (neighbour["dev"] == "lo" or _MULTICAST.match(neighbour["dst"]))
    is_somebodys = {"extern_learn", "managed", "proxy", "protocol"} & set(neighbour)
    return bool(states & _LEARNED_STATES or is_kernels) and not is_somebodys


def _read_rules(made: Dump, ifname: str) -> None:
    for family in ("-4", "-6"):
        questions = ("rule show", "route show table all", "neigh show proxy")
        rules, routes, proxies, *_ = _batch(["ip", "-d", family], questions)
        for rule in rules:
            device = rule.get("iif") or rule.get("oif") or ""
            made.record("rule", f"{device} rule {family} {rule['priority']}", rule)
        seen: Counter[str] = Counter()
        for route in routes:
            route.get("nexthops", []).sort(key=lambda hop: (hop.get("dev", ""), hop.get("gateway", "")))
            same = f"{family} {route['dst']} {route.get('table')} {route.get('metric')} {route.get('tos')}"
            seen[same] += 1
            device = route.get("dev") or " ".join(hop.get("dev", "") for hop in route.get("nexthops", ()))
            place = {"place among those of its metric": seen[same]} if family == "-4" else {}
            made.record("route", f"{device} {route['dst']}", {"family": family, **route, **place})
        for proxy in proxies:
            made.record("neighbour", f"{proxy.get('dev')} {proxy['dst']}", proxy)


# -- bridge, tc --------------------------------------------------------------------------------------------------------


def _read_bridge(made: Dump, ifname: str) -> None:
    del ifname
    ports, fdb, mdbs = _batch(["bridge", "-d"], ("link show", "fdb show", "mdb show"))
    vlans = _run("bridge", "-d", "-j", "vlan", "show")
    for port in ports:
        for path, value in _flat(_told(port)):
            made.add("bridge port", f"{port['ifname']} {path}", value)
    own = {fact.text for fact in made.facts if fact.section == "link" and fact.subject.endswith(" address")}
    for entry in fdb:
        # A MAC that bridge and port share is listed for whichever had it first.
        is_kernels = entry["mac"] in own and entry.get("state") == "permanent" and "master" in entry
        if is_kernels:
            continue
        if {entry.get("state")} & {"permanent", "static"} or "self" in entry.get("flags", ()):
            made.record("fdb", f"{entry.get('ifname')} {entry['mac']}", entry)
    for mdb in mdbs:
        for entry in mdb.get("mdb", ()):
            if entry.get("state") == "permanent":
                made.record("mdb", f"{entry.get('port')} {entry['grp']}", entry)
    for port in json.loads(vlans) if vlans else ():
        for vlan in port.get("vlans", ()):
            made.record("vlan", f"{port['ifname']} vlan {vlan['vlan']}", vlan)


def _read_tc(made: Dump, ifname: str) -> None:
    qdiscs, *_ = _batch(["tc", "-d"], ("qdisc show",))
    for qdisc in qdiscs:
        made.record("qdisc", f"{qdisc.get('dev')} {qdisc['kind']}", qdisc)
    own = [qdisc for qdisc in qdiscs if qdisc.get("dev") == ifname]
    if all(qdisc["handle"] == "0:" for qdisc in own):
        return  # the kernel's own have neither classes nor filters
    handles = [qdisc["handle"] for qdisc in own if qdisc["kind"] not in {"clsact", "ingress"}]
    parents = [*_QDISC_FILTERS, *(f"parent {handle}" for handle in handles if handle != "0:")]
    questions = [f"filter show dev {ifname} {parent}" for parent in parents]
    classes, *filters = _batch(["tc", "-d"], [f"class show dev {ifname}", *questions])
    for each in classes:
        made.record("class", f"{ifname} class {each.get('handle')}", each)
    for parent, found in zip(parents, filters, strict=True):
        for each in found:
            made.record("filter", f"{ifname} filter {parent}", each)


# -- ethtool, bpftool, nft ---------------------------------------------------------------------------------------------


def _read_ethtool(made: Dump, ifname: str) -> None:
    for option in _ETHTOOL:
        for line in _run("ethtool", *filter(None, [option]), ifname).splitlines()[1:]:
            what, _, value = line.strip().partition(":")
            made.add("ethtool", f"{ifname} ethtool {option} {what}", value.strip())


def _read_bpf(made: Dump, ifname: str) -> None:
    del ifname
    for place in json.loads(_run("bpftool", "-j", "net", "show")):
        for where, programs in place.items():
            for program in programs:
                made.record("bpf", f"{program.get('devname')} {where} {program.get('kind', '')}".rstrip(), program)


def _read_nft(made: Dump, ifname: str) -> None:
    del ifname
    told = _run("nft", "-j", "list", "ruleset")
    for each in json.loads(told)["nftables"] if told else ():
        for what, record in each.items() if "metainfo" not in each else ():
            made.record("nftables", f"{record.get('dev', '')} nftables {what}", record)


def _read_rdma(made: Dump, ifname: str) -> None:
    del ifname
    told = _run("rdma", "-j", "link", "show") if Path("/sys/class/infiniband").is_dir() else ""
    for record in json.loads(told or "[]"):
        made.record("rdma", f"{record.get('netdev')} {record['ifname']}", record)


# -- files -------------------------------------------------------------------------------------------------------------


def _read_sysctls(made: Dump, ipv: str) -> None:
    for table in ("conf", "neigh"):
        top = f"/proc/sys/net/{ipv}/{table}"
        for ifname in sorted(os.listdir(top)) if Path(top).is_dir() else ():  # noqa: PTH208 - pathlib takes far longer
            for key in os.listdir(f"{top}/{ifname}"):  # noqa: PTH208
                made.add("sysctl", f"{ifname} {ipv}/{table}/{key}", _content(f"{top}/{ifname}/{key}"))


def _read_sysfs(made: Dump, ifname: str, directory: Path) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in _NOT_IN_SYSFS or entry.name in UNTOLD or entry.name.startswith(("lower_", "upper_")):
                continue
            if entry.is_dir(follow_symlinks=False):
                _read_sysfs(made, ifname, Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                path = entry.path.removeprefix(f"/sys/class/net/{ifname}/")
                made.add("sysfs", f"{ifname} sysfs {path}", _content(entry.path))


def _content(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY)
        try:
            return os.read(fd, 4096).decode(errors="replace").strip()
        finally:
            os.close(fd)
    except OSError as error:
        return f"({error.strerror})"


# -- tools -------------------------------------------------------------------------------------------------------------


def _run(*command: str) -> str:
    """What a program says; nothing if the kernel has none of it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _batch(program: list[str], questions: Iterable[str]) -> list[list[dict[str, Any]]]:
    """What a program of iproute2 answers to several questions, a list for each."""
    asked = list(questions)
    command = [program[0], "-j", *program[1:], "-force", "-batch", "-"]
    told = subprocess.run(command, input="\n".join(asked) + "\n", capture_output=True, text=True, check=False)
    answers, decoder, text = [], json.JSONDecoder(), told.stdout.strip()
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:].lstrip()
    assert len(answers) == len(asked), f"{command} of {asked}: {told.stdout} {told.stderr}"
    return answers


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a record, by their paths."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _flat(each, f"{path}.{name}" if path else name)
    else:
        yield path, value


if __name__ == "__main__":
    print(json.dumps(dump(sys.argv[1]).as_json()))
