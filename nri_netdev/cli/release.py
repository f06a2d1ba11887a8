"""`nri-netdev release`: bring interfaces home by force, whoever holds them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from nri_netdev.cli.inputs import read_settings
from nri_netdev.cli.node_state import binding_claims
from nri_netdev.cli.terminal import is_agreed
from nri_netdev.config.settings import Settings
from nri_netdev.custody.custody import Custody
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.text.names import printable
from nri_netdev.errors import ConfigurationError, NriNetdevError
from nri_netdev.shells.engine.translate import adjustment
from nri_netdev.shells.kernel.node import open_kernel
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock

WAIT_S = 30.0
"""How long to wait for a running daemon to bring an interface home."""


def run(options: argparse.Namespace) -> int:
    """Release what is named, once the user agrees; returns 0 if everything is released and as it was."""
    settings = read_settings(options)
    if bool(options.what) == options.all:
        raise ConfigurationError("release: name interfaces or claims, or say --all")
    claims = binding_claims(settings.state_dir)
    chosen = [claim for claim in claims if options.all or {claim.ifname, claim.mark} & set(options.what)]
    unknown = set(options.what) - {name for claim in claims for name in (claim.ifname, claim.mark)}
    if unknown:
        raise NriNetdevError(f"nobody holds {', '.join(sorted(unknown))}; see `nri-netdev claims`")
    if not chosen:
        print("Nothing is held.")
        return 0
    for claim in chosen:
        print(printable(f"{claim.ifname}: {claim.state}, {claim.owner}"))
    if not options.yes and not is_agreed("Bring home, whoever uses it now?"):
        return 1
    return _released(settings, chosen)


def _released(settings: Settings, chosen: Sequence[Claim]) -> int:
    """Release in this process if no daemon serves the state directory, else ask that daemon and wait."""
    lock = Lock(settings.state_dir)
    try:
        pid = lock.take()
        with Ledger(settings.state_dir, must_exist=True) as ledger:
            if pid is None:
                return _release_here(_offline_custody(settings, ledger), chosen)
            return _release_there(ledger, chosen, pid)
    finally:
        lock.close()


def _offline_custody(settings: Settings, ledger: Ledger) -> Custody:
    return Custody(
        ledger,
        open_kernel(settings.run_dir),
        encode=lambda grants, handout: adjustment(grants, handout).SerializeToString(),
        now_s=time.time,
        monotonic_s=time.monotonic,
    )


def _release_here(custody: Custody, chosen: Sequence[Claim]) -> int:
    wrong = False
    for claim in chosen:
        troubles = custody.release(claim.mark)
        became = f"given up: {'; '.join(troubles)}" if troubles else "released"
        print(printable(f"{claim.ifname}: {became}"))
        wrong |= bool(troubles)
    return 1 if wrong else 0


def _release_there(ledger: Ledger, chosen: Sequence[Claim], pid: int) -> int:
    """Ask the daemon, process `pid`, and wait until the claims are gone from the ledger."""
    ledger.ask_release(claim.mark for claim in chosen)
    deadline = time.monotonic() + WAIT_S
    left = {claim.mark: claim for claim in chosen}
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        marks = {claim.mark for claim in ledger.claims() if claim.state.is_binding}
        for mark in left.keys() - marks:
            print(printable(f"{left.pop(mark).ifname}: released"))
    for claim in left.values():
        why = f"not yet; the daemon (process {pid}) has it in hand, see its log"
        print(printable(f"{claim.ifname}: {why}"), file=sys.stderr)
    return 1 if left else 0
