"""Suggests a rule that would give a pod the interfaces that no rule gives it; refusals quote it."""

from __future__ import annotations

from collections.abc import Iterable

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.rules import MAY_BY_DEFAULT, listed
from nri_netdev.domain.policy.selectors import yaml_text
from nri_netdev.domain.verdict.setting import is_routing_default, needed


def suggested(pod: PodSandbox, entries: Iterable[Entry]) -> str:
    """The shortest rule that would give a pod exactly this, in YAML's flow style, as an item of `rules`."""
    entries = tuple(entries)
    interfaces = {yaml_text(entry.interface) for entry in entries if entry.interface}
    interfaces |= {str(entry.selector) for entry in entries if not entry.interface and not entry.pool}
    pools = {entry.pool for entry in entries if entry.pool and not entry.interface}
    parts = [f"namespaces: [{yaml_text(pod.namespace)}]"]
    parts += [f"interfaces: [{', '.join(sorted(interfaces))}]"] if interfaces else []
    parts += [f"pools: [{listed(sorted(pools))}]"] if pools else []
    if not all(entry.interface for entry in entries):
        parts.append(f"count: {sum(entry.count for entry in entries)}")
    may = frozenset[str]().union(*(needed(entry.setup) for entry in entries))
    parts += [f"may: [{', '.join(sorted(may | MAY_BY_DEFAULT))}]"] if may - MAY_BY_DEFAULT else []
    parts += ["default_route: true"] if any(is_routing_default(entry.setup) for entry in entries) else []
    parts += ["share: true"] if any(entry.is_shared for entry in entries) else []
    return f"{{{', '.join(parts)}}}"
