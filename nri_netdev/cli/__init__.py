"""The command line of `nri-netdev`: what each command prints, and its exit status.

Tables for people, `--json` for programs; exit status 0 yes, 1 no, 2 misuse. Only `run` is the daemon, and no other
command needs it to be up. Each command imports what it needs when it is called.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nri_netdev import __version__
from nri_netdev.errors import ConfigurationError, NriNetdevError

if TYPE_CHECKING:
    from nri_netdev.custody.custody import Custody
    from nri_netdev.domain.claim import Claim
    from nri_netdev.domain.links import Link
    from nri_netdev.domain.pods import PodSandbox
    from nri_netdev.domain.verdict.allocator import Desk

RELEASE_WAIT_S = 30.0
"""How long `release` waits for a running daemon to bring an interface home."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 yes, 1 no or failed, 2 misuse.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ConfigurationError as error:
        print(f"nri-netdev: {error}", file=sys.stderr)
        return 2
    except NriNetdevError as error:
        print(f"nri-netdev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


_SHARED: dict[str, dict[str, Any]] = {
    "--config": {"type": Path, "metavar": "FILE", "help": "configuration file (/etc/nri-netdev/config.yaml)"},
    "--state-dir": {"type": Path, "metavar": "DIR", "help": "where the ledger is (/var/lib/nri-netdev)"},
    "--run-dir": {"type": Path, "metavar": "DIR", "help": "where netns are pinned (/run/nri-netdev)"},
    "--socket": {"type": Path, "metavar": "PATH", "help": "the engine's NRI socket (/var/run/nri/nri.sock)"},
    "--json": {"action": "store_true", "help": "for programs"},
}
"""Options that several commands have."""
_STATE = ("--config", "--state-dir", "--run-dir")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nri-netdev",
        description="Give host network interfaces to Kubernetes containers, and bring them home.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], text: str, *shared: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        for option in shared:
            sub.add_argument(option, **_SHARED[option])
        return sub

    run = add("run", _run, "Be the daemon: an NRI plugin of the engine on this node.", *_STATE, "--socket")
    run.add_argument("--name", help="plugin name (nri-netdev)")
    run.add_argument("--index", metavar="NN", help="plugin index, two digits (10)")
    run.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (info)")
    run.add_argument("--log-format", metavar="FORMAT", help="text or json (text)")
    run.add_argument("--health", metavar="WHERE", help="answer gRPC probes at unix:///PATH or ADDRESS:PORT (nowhere)")
    run.add_argument("--metrics", metavar="ADDRESS:PORT", help="serve metrics to Prometheus (nowhere)")

    add("devices", _devices, "Every interface of this host, and whether it is free or why not.", *_STATE, "--json")

    claims = add(
        "claims",
        _claims,
        "Who holds which interface since when, where it is now, and what is wrong.",
        *_STATE,
        "--json",
    )
    claims.add_argument("--watch", action="store_true", help="again every second, until interrupted")

    add("status", _status, "The daemon that runs on this node: engine, claims, latest refusals.", *_STATE, "--json")

    health = add("health", _health, "Ask the running daemon as a gRPC probe does; 0 if it serves.", *_STATE)
    health.add_argument("--health", metavar="WHERE", help="where it answers: unix:///PATH or ADDRESS:PORT")
    health.add_argument("--service", default="readiness", help="liveness or readiness (readiness)")

    release = add("release", _release, "Bring an interface home by force, whoever holds it.", *_STATE)
    release.add_argument("what", nargs="*", metavar="INTERFACE|CLAIM", help="host name of the interface, or claim")
    release.add_argument("--all", action="store_true", help="every one, as before an uninstall")
    release.add_argument("--yes", action="store_true", help="do not ask")

    validate = add(
        "validate", _validate, "Check annotations in Kubernetes manifests, or a configuration; needs no node."
    )
    validate.add_argument("files", nargs="*", metavar="FILE", help="manifests, - for standard input")
    validate.add_argument("--config", metavar="FILE", help="a configuration of nri-netdev, - for standard input")

    explain = add(
        "explain",
        _explain,
        "What would happen to a pod's annotations on this node now, and by which rule.",
        *_STATE,
        "--socket",
        "--json",
    )
    explain.add_argument("files", nargs="*", metavar="FILE", help="manifests, - for standard input")
    explain.add_argument("--pod", metavar="NAMESPACE/NAME", help="a pod that the engine knows")

    doctor = add(
        "doctor",
        _doctor,
        "Whether this node is fit, and what to change where it is not.",
        *_STATE,
        "--socket",
        "--json",
    )
    doctor.add_argument("--engine-config", type=Path, metavar="FILE", help="the engine's configuration (found)")

    demo = add("demo", _demo, "Run the main job here and now, on a stand-in for a node.")
    demo.add_argument("--runtime", metavar="PROGRAM", help="the OCI runtime to use, or built-in (one that is found)")

    add("version", _version, "Print the version.")
    return parser


def _watched(options: argparse.Namespace) -> Any:
    """The configuration, read."""
    from nri_netdev.config.settings import Watched

    given = vars(options)
    names = ("socket", "name", "index", "state_dir", "run_dir", "log_level", "log_format", "health", "metrics")
    watched = Watched(options.config, **{name: given.get(name) for name in names})
    watched.load()
    return watched


def _settings(options: argparse.Namespace) -> Any:
    return _watched(options).settings


def _run(options: argparse.Namespace) -> int:
    from nri_netdev.lean import protobuf_once, without

    with without("ssl"), protobuf_once():
        import asyncio  # noqa: F401 - which would load OpenSSL; nothing here is encrypted

        from nri_netdev.proto import nri_pb2, ttrpc_pb2  # noqa: F401
    from nri_netdev import log
    from nri_netdev.daemon import service

    watched = _watched(options)
    log.set_up(watched.settings.log_level, watched.settings.log_format)
    return service.serve(watched)


def _status(options: argparse.Namespace) -> int:
    from nri_netdev.cli.status_page import page
    from nri_netdev.shells.observe import status

    document = status.read(_settings(options).run_dir)
    print(json.dumps(document, indent=2) if options.json else page(document, now_s=time.time()))
    return 0 if document["ready"] else 1


def _health(options: argparse.Namespace) -> int:
    from nri_netdev.domain.address import Address
    from nri_netdev.shells.observe import health

    where = _settings(options).health
    if not where:
        raise ConfigurationError("health: set where the daemon answers: health in the configuration file, or --health")
    serves = health.check(Address.parse(where), options.service)
    print("serving" if serves else "not serving")
    return 0 if serves else 1


def _version(_: argparse.Namespace) -> int:
    print(f"nri-netdev {__version__}")
    return 0


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {name}: {error}") from error


def _validate(options: argparse.Namespace) -> int:
    from nri_netdev.domain.annotations.manifest import validate_text

    if not options.files and not options.config:
        raise ConfigurationError("validate: name manifests, or say --config FILE")
    findings: list[object] = []
    if options.config:
        from nri_netdev.config import settings

        findings += settings.read(_read(options.config), source=options.config)[1]
    for name in options.files:
        findings += validate_text(name, _read(name))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def _doctor(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from nri_netdev.cli.doctor import Verdict, examine

    findings = examine(lambda: _settings(options), engine_config=options.engine_config)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.topic) for finding in findings)
        for finding in findings:
            print(f"{finding.verdict:<6}  {finding.topic:<{width}}  {finding.found}")
            for line in finding.advice.splitlines():
                print(f"{'':<{width + 10}}{line}")
    return int(any(finding.verdict is Verdict.CHANGE for finding in findings))


def _demo(options: argparse.Namespace) -> int:
    from nri_netdev.cli.demo import run

    return run(runtime=options.runtime)


# -- devices -----------------------------------------------------------------------------------------------------------


def _desk(settings: Any) -> tuple[Desk, Any, tuple[Claim, ...]]:
    """Where requests are decided, with this host as it is now."""
    from nri_netdev.domain.verdict.allocator import Desk, PodNetns
    from nri_netdev.shells.kernel.rtnetlink import read_inventory
    from nri_netdev.shells.kernel.sysfs import facts_reader

    facts_of, claims = facts_reader(), _ledger_claims(settings.state_dir)
    desk = Desk(
        inventory=read_inventory(),
        netns=PodNetns(),
        claims=claims,
        now_s=int(time.time()),
        policy=settings.policy,
        facts_of=facts_of,
    )
    return desk, facts_of, claims


def _devices(options: argparse.Namespace) -> int:
    settings = _settings(options)
    desk, _, claims = _desk(settings)
    rows = [_device(link, desk) for link in sorted(desk.inventory.links, key=lambda link: link.ifname)]
    held = [claim for claim in claims if desk.inventory.by_name(claim.ifname) is None]
    if options.json:
        document = [
            *rows,
            *({"ifname": claim.ifname, "free": False, "why_not": f"is held by {claim.owner}"} for claim in held),
        ]
        print(json.dumps(document, indent=2))
        return 0
    head = ("NAME", "KIND", "DRIVER", "PCI", "MAC", "MTU", "STATE", "MASTER", "ADDRESSES", "POOLS", "RULES", "FREE")
    table: list[tuple[object, ...]] = [
        (
            row["ifname"],
            row["kind"] or "-",
            row["driver"] or "-",
            row["pci"] or "-",
            row["mac"] or "-",
            row["mtu"],
            row["state"],
            row["master"] or "-",
            " ".join(row["addresses"]) or "-",
            " ".join(row["pools"]) or "-",
            ", ".join(row["rules"]) or "-",
            "yes" if row["free"] else f"no: {row['why_not']}",
        )
        for row in rows
    ]
    table += [(claim.ifname, *["-"] * (len(head) - 2), f"no: is held by {claim.owner}") for claim in held]
    _print_table(head, table)
    return 0


def _device(link: Link, desk: Desk) -> dict[str, Any]:
    policy = desk.policy
    master = desk.inventory.by_index(link.master) if link.master is not None else None
    reason = desk.why_not(link)
    return {
        "ifname": link.ifname,
        "ifindex": link.ifindex,
        "altnames": list(link.altnames),
        "kind": link.kind,
        "driver": link.driver,
        "pci": link.parent_dev if link.parent_bus == "pci" else None,
        "parent": f"{link.parent_bus}/{link.parent_dev}" if link.parent_dev else None,
        "mac": link.mac,
        "permanent_mac": link.permanent_mac,
        "mtu": link.mtu,
        "state": link.operstate.lower() if link.is_up else "down",
        "master": master.ifname if master else None,
        "addresses": [str(address) for address in desk.inventory.addresses.get(link.ifindex, ())],
        "pools": [name for name in policy.pools if policy.is_in_pool(link, name, desk.sees)] if policy else [],
        "rules": [str(rule) for rule in policy.rules if policy.covers(rule, link, desk.sees)] if policy else [],
        "free": reason is None,
        "why_not": reason,
    }


def _explain(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from nri_netdev.domain.verdict.explain import explain_pod

    settings = _settings(options)
    desk, facts_of, claims = _desk(settings)
    told = [
        (title, explanation)
        for title, pod, containers, is_host_network in _asked_pods(options, settings)
        for explanation in explain_pod(
            pod,
            containers,
            inventory=desk.inventory,
            policy=settings.policy,
            claims=[claim for claim in claims if not pod.id or claim.owner.pod_id != pod.id],
            is_host_network=is_host_network,
            now_s=int(time.time()),
            facts_of=facts_of,
        )
    ]
    if options.json:
        print(json.dumps([{"pod": title, **asdict(explanation)} for title, explanation in told], indent=2))
    elif not told:
        print("Nothing is asked for.")
    else:
        for title, explanation in told:
            print(f"{title}, container {explanation.container}, {explanation.asked}")
            for step in explanation.steps:
                print(f"  {step}")
            print(f"  {explanation.verdict}")
    return 0 if all(explanation.is_granted for _, explanation in told) else 1


def _asked_pods(options: argparse.Namespace, settings: Any) -> list[tuple[str, PodSandbox, tuple[str, ...], bool]]:
    """Title, pod, its containers, and whether it is on the host network: from manifests, or as the engine tells."""
    from nri_netdev.domain.annotations.manifest import pods_in
    from nri_netdev.domain.text.yaml_nodes import YamlError

    if bool(options.files) == bool(options.pod):
        raise ConfigurationError("explain: name manifests, or say --pod NAMESPACE/NAME")
    if options.pod:
        return _running_pods(options.pod, settings)
    found = []
    for name in options.files:
        try:
            pods = pods_in(_read(name))
        except YamlError as error:
            raise ConfigurationError(f"{name}: {error}") from error
        found += [(f"{name}: {one.object}", one.pod, one.containers, one.is_host_network) for one in pods]
    return found


def _running_pods(name: str, settings: Any) -> list[tuple[str, PodSandbox, tuple[str, ...], bool]]:
    from nri_netdev.shells.engine.visit import visit

    try:
        engine = visit(settings.socket)
    except (OSError, TimeoutError) as error:
        raise NriNetdevError(f"no NRI at {settings.socket}: {error}; is the engine up, and NRI turned on?") from error
    pods = [pod for pod in engine.pods if f"{pod.namespace}/{pod.name}" == name]
    if not pods:
        raise NriNetdevError(f"the engine knows no pod {name}")
    return [
        (
            f"pod {name}",
            pod,
            tuple(container.name for container in engine.containers if container.pod_id == pod.id),
            pod.netns_path is None,
        )
        for pod in pods
    ]


# -- claims and release ------------------------------------------------------------------------------------------------


def _ledger_claims(state_dir: Path) -> tuple[Claim, ...]:
    """The claims in the ledger; none when there is no ledger."""
    from nri_netdev.shells.store.ledger import Ledger

    if not (state_dir / "ledger.db").exists():
        return ()
    with Ledger(state_dir, must_exist=True) as ledger:
        return ledger.claims()


def _claims(options: argparse.Namespace) -> int:
    settings = _settings(options)
    while True:
        _show_claims(settings, as_json=options.json)
        if not options.watch:
            return 0
        time.sleep(1)
        print()


def _show_claims(settings: Any, *, as_json: bool) -> None:
    from nri_netdev.custody.ports import locate
    from nri_netdev.domain.verdict.judge import age
    from nri_netdev.shells.kernel.host import HostKernel

    kernel = HostKernel(settings.run_dir)
    rows: list[dict[str, Any]] = []
    for claim in _ledger_claims(settings.state_dir):
        found = locate(kernel, claim)
        rows.append(
            {
                "ifname": claim.ifname,
                "claim": claim.mark,
                "state": claim.state.value,
                "holder": str(claim.owner),
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
            }
        )
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    head = ("INTERFACE", "STATE", "HOLDER", "SINCE", "PLACE", "NAME NOW", "CLAIM", "WRONG")
    _print_table(
        head,
        [
            (
                row["ifname"],
                row["state"],
                row["holder"],
                age(int(time.time()) - row["since_s"]),
                row["place"],
                row["ifname_now"] or "-",
                row["claim"],
                "; ".join(row["troubles"]) or "-",
            )
            for row in rows
        ],
    )


def _release(options: argparse.Namespace) -> int:
    settings = _settings(options)
    if bool(options.what) == options.all:
        raise ConfigurationError("release: name interfaces or claims, or say --all")
    claims = _ledger_claims(settings.state_dir)
    chosen = [claim for claim in claims if options.all or {claim.ifname, claim.mark} & set(options.what)]
    unknown = set(options.what) - {name for claim in claims for name in (claim.ifname, claim.mark)}
    if unknown:
        raise NriNetdevError(f"nobody holds {', '.join(sorted(unknown))}; see `nri-netdev claims`")
    if not chosen:
        print("Nothing is held.")
        return 0
    for claim in chosen:
        print(f"{claim.ifname}: {claim.state}, {claim.owner}")
    if not options.yes and not _is_agreed("Bring home, whoever uses it now?"):
        return 1
    return _released(settings, chosen)


def _is_agreed(question: str) -> bool:
    """Ask the person at the terminal; where nobody is, that is a no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print("nobody answers; say --yes", file=sys.stderr)
        return False


def _released(settings: Any, chosen: Sequence[Claim]) -> int:
    """Do it ourselves when no daemon serves, else ask the one that does and wait."""
    from nri_netdev.shells.store.ledger import Ledger
    from nri_netdev.shells.store.lock import Lock

    lock = Lock(settings.state_dir)
    try:
        pid = lock.take()
        with Ledger(settings.state_dir, must_exist=True) as ledger:
            if pid is None:
                return _release_here(_offline_custody(settings, ledger), chosen)
            ledger.ask_release(claim.mark for claim in chosen)
            deadline = time.monotonic() + RELEASE_WAIT_S
            left = {claim.mark: claim for claim in chosen}
            while left and time.monotonic() < deadline:
                time.sleep(0.1)
                marks = {claim.mark for claim in ledger.claims()}
                for mark in left.keys() - marks:
                    print(f"{left.pop(mark).ifname}: released")
            for claim in left.values():
                print(
                    f"{claim.ifname}: not yet; the daemon (process {pid}) has it in hand, see its log",
                    file=sys.stderr,
                )
            return 1 if left else 0
    finally:
        lock.close()


def _offline_custody(settings: Any, ledger: Any) -> Custody:
    from nri_netdev.custody.custody import Custody
    from nri_netdev.shells.kernel.host import HostKernel

    return Custody(ledger, HostKernel(settings.run_dir), now_s=time.time, monotonic_s=time.monotonic)


def _release_here(custody: Custody, chosen: Iterable[Claim]) -> int:
    wrong = False
    held = {claim.mark for claim in custody.claims}
    for claim in chosen:
        troubles = custody.release(claim.mark) if claim.mark in held else ()
        print(f"{claim.ifname}: released" if not troubles else f"{claim.ifname}: given up: {'; '.join(troubles)}")
        wrong |= bool(troubles)
    return 1 if wrong else 0


def _print_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
