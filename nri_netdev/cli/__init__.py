"""The command line of `nri-netdev`: commands, their options, and exit status.

Tables for people, `--json` for programs; exit status 0 yes, 1 no, 2 misuse. Only `run` is the daemon, and no other
command needs it to be up. Each command is a module of its name, imported when it is called.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nri_netdev.cli.terminal import show_every_character
from nri_netdev.domain.text.names import printable
from nri_netdev.errors import ConfigurationError, NriNetdevError

Option = tuple[str, Mapping[str, Any]]
"""An option or argument, as `ArgumentParser.add_argument` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command; the module of its name has `run(options) -> exit status`."""

    name: str
    text: str
    """What it does, for its help."""
    shared: tuple[str, ...] = ()
    """Options of `SHARED` that it has."""
    options: tuple[Option, ...] = ()
    """Options of its own; the help lists them after the shared ones."""


SHARED: Mapping[str, Mapping[str, Any]] = {
    "--config": {"type": Path, "metavar": "FILE", "help": "configuration file (/etc/nri-netdev/config.yaml)"},
    "--state-dir": {"type": Path, "metavar": "DIR", "help": "where the ledger is (/var/lib/nri-netdev)"},
    "--run-dir": {"type": Path, "metavar": "DIR", "help": "where netns are pinned (/run/nri-netdev)"},
    "--socket": {"type": Path, "metavar": "PATH", "help": "the engine's NRI socket (/var/run/nri/nri.sock)"},
    "--json": {"action": "store_true", "help": "for programs"},
}
"""Options that several commands have."""
_STATE = ("--config", "--state-dir", "--run-dir")
_MANIFESTS: Option = ("files", {"nargs": "*", "metavar": "FILE", "help": "manifests, - for standard input"})
_LOG: tuple[Option, ...] = (
    ("--log-level", {"metavar": "LEVEL", "help": "debug, info, warning or error (info)"}),
    ("--log-format", {"metavar": "FORMAT", "help": "text or json (text)"}),
)

COMMANDS = (
    Command(
        name="run",
        text="Be the daemon: an NRI plugin of the engine on this node.",
        shared=(*_STATE, "--socket"),
        options=(
            ("--name", {"help": "plugin name (nri-netdev)"}),
            ("--index", {"metavar": "NN", "help": "plugin index, two digits (10)"}),
            *_LOG,
            (
                "--health",
                {"metavar": "WHERE", "help": "answer gRPC probes at unix:///PATH or ADDRESS:PORT (nowhere)"},
            ),
            ("--metrics", {"metavar": "ADDRESS:PORT", "help": "serve metrics to Prometheus (nowhere)"}),
            ("--events", {"metavar": "WHERE", "help": "tell `nri-netdev events` of pods at unix:///PATH (nowhere)"}),
        ),
    ),
    Command(
        name="devices",
        text="Every interface of this host, and whether it is free or why not.",
        shared=(*_STATE, "--json"),
        options=(
            (
                "interfaces",
                {"nargs": "*", "metavar": "INTERFACE", "help": "only these; and what does not come along, or suffers"},
            ),
        ),
    ),
    Command(
        name="claims",
        text="Who holds which interface since when, where it is now, and what is wrong.",
        shared=(*_STATE, "--json"),
        options=(("--watch", {"action": "store_true", "help": "again every second, until interrupted"}),),
    ),
    Command(
        name="status",
        text="The daemon that runs on this node: engine, claims, latest refusals.",
        shared=(*_STATE, "--json"),
    ),
    Command(
        name="health",
        text="Ask the running daemon as a gRPC probe does; 0 if it serves.",
        shared=_STATE,
        options=(
            ("--health", {"metavar": "WHERE", "help": "where it answers: unix:///PATH or ADDRESS:PORT"}),
            ("--service", {"default": "readiness", "help": "liveness, readiness or startup (readiness)"}),
        ),
    ),
    Command(
        name="release",
        text="Bring an interface home by force, whoever holds it.",
        shared=_STATE,
        options=(
            (
                "what",
                {"nargs": "*", "metavar": "INTERFACE|CLAIM", "help": "host name of the interface, or claim"},
            ),
            ("--all", {"action": "store_true", "help": "every one, as before an uninstall"}),
            ("--yes", {"action": "store_true", "help": "do not ask"}),
        ),
    ),
    Command(
        name="validate",
        text="Check annotations in Kubernetes manifests, or a configuration; needs no node.",
        options=(
            _MANIFESTS,
            ("--config", {"metavar": "FILE", "help": "a configuration of nri-netdev, - for standard input"}),
        ),
    ),
    Command(
        name="explain",
        text="What would happen to a pod's annotations on this node now, and by which rule.",
        shared=(*_STATE, "--socket", "--json"),
        options=(_MANIFESTS, ("--pod", {"metavar": "NAMESPACE/NAME", "help": "a pod that the engine knows"})),
    ),
    Command(
        name="doctor",
        text="Whether this node is fit, and what to change where it is not.",
        shared=(*_STATE, "--socket", "--json"),
        options=(("--engine-config", {"type": Path, "metavar": "FILE", "help": "the engine's configuration (found)"}),),
    ),
    Command(
        name="events",
        text="Tell pods what became of their interfaces, as Events of Kubernetes; runs beside the daemon.",
        options=(
            (
                "--events",
                {"metavar": "WHERE", "required": True, "help": "where the daemon tells of pods: unix:///PATH"},
            ),
            ("--node", {"metavar": "NAME", "help": "name of this node (NODE_NAME of the environment)"}),
            ("--kubeconfig", {"type": Path, "metavar": "FILE", "help": "the cluster (the pod's service account)"}),
            *_LOG,
        ),
    ),
    Command(
        name="demo",
        text="Run the main job here and now, on a stand-in for a node.",
        options=(
            (
                "--runtime",
                {"metavar": "PROGRAM", "help": "the OCI runtime to use, or built-in (one that is found)"},
            ),
        ),
    ),
    Command(name="version", text="Print the version."),
)
"""Every command, in the order of the help."""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; the name of the command is in `options.command`."""
    top = argparse.ArgumentParser(
        prog="nri-netdev",
        description="Give host network interfaces to Kubernetes containers, and bring them home.",
    )
    commands = top.add_subparsers(required=True, metavar="command", dest="command")
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.text, description=command.text)
        for name, options in (*((name, SHARED[name]) for name in command.shared), *command.options):
            sub.add_argument(name, **options)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 yes, 1 no or failed, 2 misuse.
    """
    options = parser().parse_args(arguments)
    show_every_character()
    try:
        run: Callable[[argparse.Namespace], int] = importlib.import_module(f"nri_netdev.cli.{options.command}").run
        return run(options)
    except NriNetdevError as error:
        print("\n".join(map(printable, f"nri-netdev: {error}".split("\n"))), file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
