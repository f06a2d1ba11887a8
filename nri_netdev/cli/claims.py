"""`nri-netdev claims`: the holder, age, place and troubles of each claimed interface."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from nri_netdev.cli.inputs import read_settings
from nri_netdev.cli.node_state import binding_claims
from nri_netdev.cli.shown import CLAIMS
from nri_netdev.cli.table import print_table
from nri_netdev.config.settings import Settings
from nri_netdev.custody.locate import Found, locate
from nri_netdev.custody.ports import Kernel
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.given import Inside, given_of
from nri_netdev.domain.metadata import Given, described
from nri_netdev.shells.kernel.node import open_kernel


def run(options: argparse.Namespace) -> int:
    """Print the claims, once or every second."""
    settings = read_settings(options)
    while True:
        _show(settings, as_json=options.json)
        if not options.watch:
            return 0
        time.sleep(1)
        print()


def _show(settings: Settings, *, as_json: bool) -> None:
    kernel = open_kernel(settings.run_dir)
    claims = [_described(claim, kernel) for claim in binding_claims(settings.state_dir)]
    if as_json:
        print(json.dumps(claims, indent=2))
    else:
        print_table(CLAIMS.head, [CLAIMS.row(claim, int(time.time())) for claim in claims])


def _described(claim: Claim, kernel: Kernel) -> dict[str, Any]:
    found = locate(kernel, claim)
    return {
        "ifname": claim.ifname,
        "share": claim.setup.share and claim.setup.share.kind.value,
        "claim": claim.mark,
        "state": claim.state.value,
        "holder": str(claim.owner),
        "namespace": claim.owner.namespace,
        "scope": claim.owner.scope.value,
        "container_id": claim.owner.container_id,
        "pod_id": claim.owner.pod_id,
        "pod_uid": claim.owner.pod_uid,
        "since_s": claim.since_s,
        "inside": claim.inside,
        "place": found.place.value,
        "ifname_now": found.link.ifname if found.link else None,
        "netns": claim.netns.path,
        "annotation": claim.key,
        "troubles": list(claim.troubles),
        "given": described(_given(claim, found, kernel)),
    }


def _given(claim: Claim, found: Found, kernel: Kernel) -> Given:
    """What its pod is told of it; without what an IPAM plugin has given, which is among its addresses."""
    inside = None
    if found.link is not None and found.netns_path is not None:
        inside = Inside(link=found.link, addresses=kernel.pods.addresses(found.netns_path, found.link.ifindex))
    return given_of(claim, claim.setup, kernel.host.facts()(claim.snapshot.link), inside)
