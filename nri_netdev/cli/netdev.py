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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nri_netdev import __version__
from nri_netdev.cli.shown import PAGES, TABLES, effects
from nri_netdev.cli.table import print_table
from nri_netdev.cli.terminal import is_agreed, show_every_character
from nri_netdev.domain.text.names import printable
from nri_netdev.errors import ConfigurationError, NriNetdevError

SELECTOR = "app.kubernetes.io/name=nri-netdev,app.kubernetes.io/component=daemon"
"""Labels of the pods in which the daemon runs."""
CONTAINER = "nri-netdev"
_PROGRAM = "nri-netdev"
_AT_ONCE = 16
_ENDED = "command terminated with exit code "
"""What kubectl adds to the standard error of a program that ran and failed; without it, the program did not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePod:
    """Where the daemon of a node runs, or is to run."""

    node: str
    namespace: str = ""
    pod: str = ""
    unavailable: str = ""
    """Why no command can be run there; "" if one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAnswer:
    """What a node answered."""

    node: str
    status: int
    document: Any = None
    """None if it printed none."""
    stderr: str = ""
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
        "Bring an interface home by force, whoever holds it; on one node, or everything on every node.",
        {
            "what": {"nargs": "*", "metavar": "INTERFACE|CLAIM", "help": "host name of the interface, or claim"},
            "--all": {"action": "store_true", "help": "every one, as before an uninstall"},
            "--every-node": {"action": "store_true", "help": "with --all: on every node of the cluster"},
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
    show_every_character()
    try:
        kubectl = Kubectl(options)
        targets = kubectl.targets()
        if options.command == "release":
            return _release(kubectl, targets, options)
        text = _manifests(options) if options.command == "explain" else ""
        command = _asked(options)
        answers = _side_by_side(lambda target: kubectl.ask(target, command, text), targets)
    except NriNetdevError as error:
        print(f"kubectl-netdev: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130
    return _show(answers, options)


def _side_by_side(ask: Callable[[NodePod], NodeAnswer], targets: Sequence[NodePod]) -> list[NodeAnswer]:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(ask, targets))


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

    def targets(self) -> tuple[NodePod, ...]:
        """Whom to ask: a target for each node that has a daemon's pod, or that is named; in order.

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
                found.setdefault(node, _target(node, pod))
        names = dict.fromkeys(self._options.node or sorted(found))
        if not names:
            raise NriNetdevError(f"no pod has the labels {SELECTOR}: is nri-netdev installed in this cluster?")
        return tuple(found.get(name, NodePod(node=name, unavailable="there is no pod of nri-netdev")) for name in names)

    def ask(self, target: NodePod, command: Sequence[str], text: str) -> NodeAnswer:
        """Run a command that prints JSON in a pod, with a text on its standard input."""
        answer = self.run(target, command, text)
        if answer.document is None:
            return answer
        try:
            return replace(answer, document=json.loads(answer.document))
        except ValueError:
            stderr = answer.stderr or "it printed no document"
            return replace(answer, status=answer.status or 1, document=None, stderr=stderr)

    def run(self, target: NodePod, command: Sequence[str], text: str = "") -> NodeAnswer:
        """Run a command in a pod; the document of the answer is the text that it prints."""
        if target.unavailable:
            return NodeAnswer(node=target.node, status=1, stderr=target.unavailable)
        try:
            done = self._run(*_exec(target, is_interactive=bool(text)), *command, text=text)
        except NriNetdevError as error:
            return NodeAnswer(node=target.node, status=1, stderr=str(error))
        stderr, status = done.stderr.strip(), done.returncode
        head, ended, code = stderr.rpartition(_ENDED)
        if ended and code.isdecimal():
            stderr, status = head.strip(), int(code)
        elif status:
            return NodeAnswer(node=target.node, status=1, stderr=f"kubectl exec into {target.pod} failed: {stderr}")
        stderr = "\n".join(line.removeprefix(f"{_PROGRAM}: ") for line in stderr.splitlines())
        return NodeAnswer(node=target.node, status=status, document=done.stdout, stderr=stderr)

    def talk(self, target: NodePod, command: Sequence[str]) -> int:
        """Run a command in a pod at this terminal, and return its exit status."""
        try:
            return subprocess.run(
                [*self._program, *_exec(target, is_interactive=True), *command], check=False
            ).returncode
        except OSError as error:
            raise NriNetdevError(f"cannot run kubectl: {error}") from error

    def _run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [*self._program, *arguments]
        try:
            return subprocess.run(
                command,
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=self._options.timeout,
                check=False,
            )
        except OSError as error:
            raise NriNetdevError(f"cannot run kubectl: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise NriNetdevError(f"no answer within {error.timeout:g} s") from error


def _exec(target: NodePod, *, is_interactive: bool) -> list[str]:
    stdin = ["--stdin"] if is_interactive else []
    return ["exec", f"--namespace={target.namespace}", *stdin, target.pod, f"--container={CONTAINER}", "--"]


def _container(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of the daemon's container; {} if nobody has told it."""
    statuses = pod["status"].get("containerStatuses", ())
    return next((one for one in statuses if one["name"] == CONTAINER), {})


def _rank(pod: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """Of two pods on one node, as there are while one replaces the other, the one that is asked comes first."""
    container = _container(pod)
    is_running = "running" in container.get("state", {})
    return not is_running, not container.get("ready", False), "deletionTimestamp" in pod["metadata"]


def _target(node: str, pod: Mapping[str, Any]) -> NodePod:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    state = _container(pod).get("state", {})
    unavailable = ""
    if "running" not in state:
        waits = state.get("waiting") or state.get("terminated") or {}
        how = waits.get("reason") or pod["status"].get("phase", "unknown")
        unavailable = f"the daemon does not run: {how}; see kubectl -n {namespace} describe pod {name}"
    return NodePod(node=node, namespace=namespace, pod=name, unavailable=unavailable)


# -- what is shown -----------------------------------------------------------------------------------------------------

_UNFIT = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading a document raises if it is not as this version of nri-netdev writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What of a document is shown."""

    parts: Sequence[Any] = ()
    """Items for programs, rows of a table, or one page."""
    effects: Sequence[str] = ()
    """Lines below the table."""


def _show(answers: Sequence[NodeAnswer], options: argparse.Namespace) -> int:
    """Print what was answered, and then what was not; return the exit status."""
    readings = [_read(answer, options) for answer in answers]
    parts = [part for _, shown in readings for part in shown.parts]
    if _is_for_programs(options):
        print(json.dumps(parts, indent=2))
    elif table := TABLES.get(options.command):
        print_table(("NODE", *table.head), parts)
        for line in (line for _, shown in readings for line in shown.effects):
            print(line)
    else:
        print("\n\n".join(parts), end="\n" if parts else "")
    for answer, _ in readings:
        for line in answer.stderr.splitlines():
            print(f"kubectl-netdev: node {answer.node}: {printable(line)}", file=sys.stderr)
    statuses = {answer.status for answer, _ in readings}
    return 0 if statuses == {0} else 2 if 2 in statuses else 1


def _is_for_programs(options: argparse.Namespace) -> bool:
    return bool(vars(options).get("json") or vars(options).get("output"))


def _read(answer: NodeAnswer, options: argparse.Namespace) -> tuple[NodeAnswer, _Shown]:
    """What is shown of an answer; nothing of what cannot be read, of which the answer then tells on standard error."""
    if answer.document is None:
        return answer, _Shown()
    try:
        return answer, _shown(answer.node, _filtered(answer.document, options), options)
    except _UNFIT as error:
        document = answer.document if isinstance(answer.document, Mapping) else {}
        known = f" ({document['version']})" if "version" in document else ""
        why = (
            f"its document is of another version of nri-netdev{known} than this program ({__version__}): "
            f"{type(error).__name__}: {error}; use the kubectl-netdev of the node's version"
        )
        stderr = "\n".join(filter(None, [answer.stderr, why]))
        return replace(answer, status=answer.status or 1, stderr=stderr), _Shown()


def _shown(node: str, document: Any, options: argparse.Namespace) -> _Shown:
    now_s = int(time.time())
    if _is_for_programs(options):
        return _Shown(
            parts=[{"node": node, **item} for item in (document if isinstance(document, list) else [document])]
        )
    if table := TABLES.get(options.command):
        below = effects(document) if getattr(options, "interfaces", ()) else ()
        rows = [(node, *table.row(item, now_s)) for item in document]
        return _Shown(parts=rows, effects=[f"{node}: {line}" for line in below])
    page = PAGES.get(options.command, _as_printed)
    return _Shown(parts=[f"node {node}\n{page(document, now_s)}"])


def _as_printed(text: str, _: int) -> str:
    return "\n".join(map(printable, text.splitlines()))


def _filtered(document: Any, options: argparse.Namespace) -> Any:
    """A document with what was asked for; what a manifest came from is not standard input to who reads this."""
    if options.command == "claims" and options.namespace:
        return [claim for claim in document if claim["namespace"] == options.namespace]
    if options.command == "explain":
        return [{**one, "pod": one["pod"].removeprefix("-: ")} for one in document]
    return document


# -- release -----------------------------------------------------------------------------------------------------------


def _release(kubectl: Kubectl, targets: Sequence[NodePod], options: argparse.Namespace) -> int:
    """On one node, at this terminal, so that the question is asked there; or on every one."""
    if options.every_node and (options.node or options.what or not options.all):
        raise ConfigurationError("release: --every-node goes with --all, and neither with --node nor with an INTERFACE")
    if options.every_node:
        return _release_everywhere(kubectl, targets, options)
    if len(targets) != 1:
        raise ConfigurationError("release: say on which node: --node NAME")
    (target,) = targets
    if target.unavailable:
        raise NriNetdevError(f"node {target.node}: {target.unavailable}")
    flags = [f"--{name}" for name in ("all", "yes") if getattr(options, name)]
    return kubectl.talk(target, [_PROGRAM, "release", *flags, *options.what])


def _release_everywhere(kubectl: Kubectl, targets: Sequence[NodePod], options: argparse.Namespace) -> int:
    """Everything on every node, after one question here."""
    count = sum(not target.unavailable for target in targets)
    question = f"Bring home everything on {count} of {len(targets)} nodes, whoever uses it now?"
    if count and not options.yes and not is_agreed(question):
        return 1
    command = [_PROGRAM, "release", "--all", "--yes"]
    return _show(_side_by_side(lambda target: kubectl.run(target, command), targets), options)


if __name__ == "__main__":
    sys.exit(main())
