"""`kubectl netdev`: the commands of nri-netdev, on every node of a cluster at once.

A plugin of kubectl. It finds the DaemonSet's pods, runs a command in each by `kubectl exec`, and shows what they print
for programs as one table, or as a page for each node. It knows nothing of a cluster but kubectl, so that whoever may
exec into these pods may use it. `python image/kubectl_netdev.py` writes it as a single file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nri_netdev.cli.shown import PAGES, TABLES, effects
from nri_netdev.cli.table import print_table
from nri_netdev.errors import ConfigurationError, NriNetdevError

SELECTOR = "app.kubernetes.io/name=nri-netdev,app.kubernetes.io/component=daemon"
"""Labels of the pods in which the daemon runs."""
CONTAINER = "nri-netdev"
_PROGRAM = "nri-netdev"
_AT_ONCE = 16
_ENDED = "command terminated with exit code "
"""What kubectl says below the words of a program that ran and failed; without it, the program did not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePod:
    """Where the daemon of a node runs, or is to run."""

    node: str
    namespace: str = ""
    pod: str = ""
    why_not: str = ""
    """Why no command can be run there; "" if one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAnswer:
    """What a node answered."""

    node: str
    status: int
    document: Any = None
    """None if it printed none."""
    words: str = ""
    """What it said on standard error."""


# -- the command line --------------------------------------------------------------------------------------------------

_EVERYWHERE: Mapping[str, Mapping[str, Any]] = {
    "--node": {"action": "append", "metavar": "NAME", "help": "only this node; may be given again"},
    "--nri-netdev-namespace": {"metavar": "NAMESPACE", "help": "where nri-netdev is (any)"},
    "--context": {"metavar": "NAME", "help": "as kubectl has it"},
    "--kubeconfig": {"metavar": "FILE", "help": "as kubectl has it"},
    "--timeout": {"type": float, "default": 60.0, "metavar": "SECONDS", "help": "how long to wait for a node (60)"},
}
_JSON: Mapping[str, Mapping[str, Any]] = {
    "--json": {"action": "store_true", "help": "for programs: one list, each item with its node"},
    "--output": {"choices": ("json",), "help": "the same, as kubectl has it"},
}
_COMMANDS: Mapping[str, tuple[str, Mapping[str, Mapping[str, Any]]]] = {
    "claims": (
        "Who holds which interface since when, on every node.",
        {**_JSON, "--namespace": {"metavar": "NAMESPACE", "help": "only what pods of this namespace hold"}},
    ),
    "devices": (
        "Every interface of every node, and whether it is free or why not.",
        {
            **_JSON,
            "interfaces": {"nargs": "*", "metavar": "INTERFACE", "help": "only these; and what giving them does"},
        },
    ),
    "status": ("The daemon of every node: engine, claims, latest refusals.", _JSON),
    "explain": (
        "What would happen to a pod's annotations on each node now.",
        {
            **_JSON,
            "--filename": {"action": "append", "metavar": "FILE", "help": "a manifest, - for standard input"},
            "--pod": {"metavar": "NAMESPACE/NAME", "help": "a pod that a node's engine knows"},
        },
    ),
    "doctor": ("Whether each node is fit, and what to change where it is not.", _JSON),
    "release": (
        "Bring an interface home by force, whoever holds it; on one node.",
        {
            "what": {"nargs": "*", "metavar": "INTERFACE|CLAIM", "help": "host name of the interface, or claim"},
            "--all": {"action": "store_true", "help": "every one, as before an uninstall"},
            "--yes": {"action": "store_true", "help": "do not ask"},
        },
    ),
}
_SHORT = {"--namespace": "-n", "--filename": "-f", "--output": "-o"}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; the name of the command is in `options.command`."""
    top = argparse.ArgumentParser(prog="kubectl netdev", description="nri-netdev on the nodes of a cluster.")
    commands = top.add_subparsers(required=True, metavar="command", dest="command")
    for name, (text, own) in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        for option, how in {**own, **_EVERYWHERE}.items():
            sub.add_argument(*filter(None, [_SHORT.get(option)]), option, **how)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if every node says yes, 1 if one says no or could not be asked, 2 misuse.
    """
    options = parser().parse_args(arguments)
    try:
        kubectl = Kubectl(options)
        places = kubectl.places()
        if options.command == "release":
            return _release(kubectl, places, options)
        text = _manifests(options) if options.command == "explain" else ""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            arguments = _asked(options)
            answers = list(threads.map(lambda place: kubectl.ask(place, arguments, text), places))
    except NriNetdevError as error:
        print(f"kubectl-netdev: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130
    return _show(answers, options)


def _asked(options: argparse.Namespace) -> list[str]:
    """The command line that is run in each pod."""
    given = vars(options)
    more = [*given.get("interfaces", ())]
    if options.command == "explain":
        more = [f"--pod={options.pod}"] if options.pod else ["-"]
    return [_PROGRAM, options.command, "--json", *more]


def _manifests(options: argparse.Namespace) -> str:
    """The manifests that are named, as one text.

    Raises:
        ConfigurationError: None is, or one cannot be read, or a pod is named as well.
    """
    if bool(options.filename) == bool(options.pod):
        raise ConfigurationError("explain: say -f FILE or --pod NAMESPACE/NAME")
    try:
        texts = [
            sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
            for name in options.filename or ()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read a manifest: {error}") from error
    return "\n---\n".join(texts)


# -- by kubectl --------------------------------------------------------------------------------------------------------


class Kubectl:
    """Asks the cluster and its nodes.

    Args:
        options: the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._program = ["kubectl"]
        for name in ("context", "kubeconfig"):
            if value := getattr(options, name):
                self._program.append(f"--{name}={value}")

    def places(self) -> tuple[NodePod, ...]:
        """Where to ask: a place for each node that has a daemon's pod, or that is named; in order.

        Raises:
            NriNetdevError: kubectl fails, or there is no pod of nri-netdev.
        """
        namespace = self._options.nri_netdev_namespace
        where = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
        done = self._run("get", "pods", *where, f"--selector={SELECTOR}", "--output=json")
        if done.returncode:
            raise NriNetdevError(f"cannot list the pods of nri-netdev: {done.stderr.strip()}")
        pods = json.loads(done.stdout)["items"]
        found: dict[str, NodePod] = {}
        for pod in sorted(pods, key=_rank):
            if node := pod["spec"].get("nodeName"):
                found.setdefault(node, _place(node, pod))
        names = dict.fromkeys(self._options.node or sorted(found))
        if not names:
            raise NriNetdevError(f"no pod has the labels {SELECTOR}: is nri-netdev installed in this cluster?")
        return tuple(found.get(name, NodePod(node=name, why_not="there is no pod of nri-netdev")) for name in names)

    def ask(self, place: NodePod, command: Sequence[str], text: str) -> NodeAnswer:
        """Run a command in a pod, with a text on its standard input."""
        if place.why_not:
            return NodeAnswer(node=place.node, status=1, words=place.why_not)
        try:
            done = self._run(*_exec(place, is_interactive=bool(text)), *command, text=text)
        except NriNetdevError as error:
            return NodeAnswer(node=place.node, status=1, words=str(error))
        words, status = done.stderr.strip(), done.returncode
        head, ended, code = words.rpartition(_ENDED)
        if ended and code.isdecimal():
            words, status = head.strip(), int(code)
        elif status:
            return NodeAnswer(node=place.node, status=1, words=f"kubectl exec into {place.pod} failed: {words}")
        words = "\n".join(line.removeprefix(f"{_PROGRAM}: ") for line in words.splitlines())
        try:
            return NodeAnswer(node=place.node, status=status, document=json.loads(done.stdout), words=words)
        except ValueError:
            return NodeAnswer(node=place.node, status=status or 1, words=words or "it printed no document")

    def talk(self, place: NodePod, command: Sequence[str]) -> int:
        """Run a command in a pod at this terminal, and return its exit status."""
        try:
            return subprocess.run(
                [*self._program, *_exec(place, is_interactive=True), *command], check=False
            ).returncode
        except OSError as error:
            raise NriNetdevError(f"cannot run kubectl: {error}") from error

    def _run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [*self._program, *arguments]
        try:
            return subprocess.run(
                command, input=text, capture_output=True, text=True, timeout=self._options.timeout, check=False
            )
        except OSError as error:
            raise NriNetdevError(f"cannot run kubectl: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise NriNetdevError(f"no answer within {error.timeout:g} s") from error


def _exec(place: NodePod, *, is_interactive: bool) -> list[str]:
    stdin = ["--stdin"] if is_interactive else []
    return ["exec", f"--namespace={place.namespace}", *stdin, place.pod, f"--container={CONTAINER}", "--"]


def _container(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of the daemon's container; {} if nobody has told it."""
    statuses = pod["status"].get("containerStatuses", ())
    return next((one for one in statuses if one["name"] == CONTAINER), {})


def _rank(pod: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """Of two pods on one node, as there are while one replaces the other, the one that is asked comes first."""
    container = _container(pod)
    is_running = "running" in container.get("state", {})
    return not is_running, not container.get("ready", False), "deletionTimestamp" in pod["metadata"]


def _place(node: str, pod: Mapping[str, Any]) -> NodePod:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    state = _container(pod).get("state", {})
    why_not = ""
    if "running" not in state:
        waits = state.get("waiting") or state.get("terminated") or {}
        how = waits.get("reason") or pod["status"].get("phase", "unknown")
        why_not = f"the daemon does not run: {how}; see kubectl -n {namespace} describe pod {name}"
    return NodePod(node=node, namespace=namespace, pod=name, why_not=why_not)


# -- what is shown -----------------------------------------------------------------------------------------------------


def _show(answers: Sequence[NodeAnswer], options: argparse.Namespace) -> int:
    """Print what was answered, and then what was not; return the exit status."""
    told = [(answer.node, _filtered(answer.document, options)) for answer in answers if answer.document is not None]
    if options.json or options.output:
        print(json.dumps([item for node, document in told for item in _items(node, document)], indent=2))
    elif table := TABLES.get(options.command):
        now_s = int(time.time())
        print_table(("NODE", *table.head), [(node, *table.row(item, now_s)) for node, items in told for item in items])
        for node, items in told if getattr(options, "interfaces", ()) else ():
            for line in effects(items):
                print(f"{node}: {line}")
    else:
        page = PAGES[options.command]
        pages = [f"node {node}\n{page(document, int(time.time()))}" for node, document in told]
        print("\n\n".join(pages), end="\n" if pages else "")
    for answer in answers:
        for line in answer.words.splitlines():
            print(f"kubectl-netdev: node {answer.node}: {line}", file=sys.stderr)
    statuses = {answer.status for answer in answers}
    return 0 if statuses == {0} else 2 if 2 in statuses else 1


def _filtered(document: Any, options: argparse.Namespace) -> Any:
    """A document with what was asked for; what a manifest came from is not standard input to who reads this."""
    if options.command == "claims" and options.namespace:
        return [claim for claim in document if claim["namespace"] == options.namespace]
    if options.command == "explain":
        return [{**one, "pod": one["pod"].removeprefix("-: ")} for one in document]
    return document


def _items(node: str, document: Any) -> Iterator[Mapping[str, Any]]:
    for item in document if isinstance(document, list) else [document]:
        yield {"node": node, **item}


def _release(kubectl: Kubectl, places: Sequence[NodePod], options: argparse.Namespace) -> int:
    """Release on one node, at this terminal, so that the question is asked there."""
    if len(places) != 1:
        raise ConfigurationError("release: say on which node: --node NAME")
    (place,) = places
    if place.why_not:
        raise NriNetdevError(f"node {place.node}: {place.why_not}")
    flags = [f"--{name}" for name in ("all", "yes") if getattr(options, name)]
    return kubectl.talk(place, [_PROGRAM, "release", *flags, *options.what])


if __name__ == "__main__":
    sys.exit(main())
