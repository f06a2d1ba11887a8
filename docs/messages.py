"""Write into docs/troubleshooting.md every message and every event that the code can give; `--check` only compares.

Messages are read from the source: each text of three words or more that is neither a docstring nor help. Where a value
stands in a message, the page has `…`. What to do about them is in `GROUPS` and `EVENTS`, by hand; an event without a
meaning here is an error.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nri_netdev"
PAGE = ROOT / "docs" / "troubleshooting.md"
BEGIN, END = "<!-- {}: begin, written by docs/messages.py -->", "<!-- {}: end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Messages that the same person acts on in the same way."""

    title: str
    modules: tuple[str, ...]
    text: str


SILENT = (
    "proto/*",
    "testing/*",
    "cli/demo.py",
    "__*.py",
    "shells/observe/metrics.py",
    "shells/observe/http.py",
    "cli/status_page.py",
    "log.py",
)
"""Modules whose texts are not messages of the running program."""

GROUPS = (
    Group(
        title="What is wrong in an annotation",
        modules=("domain/annotations/*", "domain/text/*", "domain/policy/selectors.py", "domain/setup/[!l]*"),
        text="The pod's author corrects the annotation; the message names annotation, entry and field. Nothing was "
        "moved. `nri-netdev validate FILE` gives the same messages before the pod is applied. Selectors and YAML of "
        "the configuration are read alike.",
    ),
    Group(
        title="The engine",
        modules=("wire/[!i]*", "shells/engine/*", "cli/doctor.py", "cli/engine_*.py"),
        text="The operator checks the engine's version and its NRI section: "
        "[operators](operators.md#what-the-engine-needs). The daemon tries again by itself.",
    ),
    Group(
        title="Configuration and the command line",
        modules=("config/*", "domain/policy/file.py", "cli/*", "domain/address.py", "wire/identity.py"),
        text="The operator corrects the configuration file or the option. The daemon does not start with a wrong one.",
    ),
    Group(
        title="The ledger and the daemon's own sockets",
        modules=("shells/store/*", "shells/observe/*", "custody/claims.py", "daemon/readiness.py"),
        text="The operator checks the state directory (`/var/lib/nri-netdev`) and its disk, or which other program "
        "uses the address. While the ledger cannot be used, nothing is given; everything else on the node goes on.",
    ),
    Group(
        title="Addresses of IPAM plugins",
        modules=("shells/cni/*", "domain/setup/leases.py", "custody/leases.py"),
        text="The operator checks the plugin on the node, its configuration, and what it needs; the words after the "
        "colon are mostly the plugin's own. An address that is not taken back is tried again until it is.",
    ),
    Group(
        title="Events of Kubernetes",
        modules=("shells/kube/*", "events/*"),
        text="`nri-netdev events` tells pods; the operator checks its service account's rights and the way to the API "
        "server. It tries again by itself; the daemon does not need it.",
    ),
    Group(
        title="The kernel",
        modules=("shells/*", "domain/snapshot.py", "domain/claim.py", "domain/links.py", "custody/ports.py"),
        text="`cannot DO SOMETHING: the kernel's words (ERRNO)`. Moves and restores are tried again on every occasion; "
        "the column WRONG of `nri-netdev claims` shows what is still wrong.",
    ),
    Group(
        title="What cannot be given",
        modules=("domain/*", "custody/*"),
        text="The annotation is well-formed, but this node cannot or may not give what it asks for. On the node, "
        "`nri-netdev devices` shows each interface and why it is not free; `nri-netdev claims` shows who holds what. "
        "Nothing was moved.",
    ),
    Group(
        title="What the daemon answers when it cannot decide or move",
        modules=("daemon/*",),
        text="Most of these pass: the kubelet tries again by itself. If one does not, "
        "the log of nri-netdev on that node has the reason.",
    ),
    Group(title="Others", modules=("*",), text="Messages of no other group."),
)
"""Each with patterns of modules; a module's messages are in the first that has it."""

EVENTS = {
    "config.in_force": "A changed configuration is in force.",
    "config.needs_restart": "A setting has changed that is read at the start only: restart the daemon.",
    "config.refused": "The changed configuration has a mistake; the old one stays in force.",
    "claim.arrived": "An interface has arrived in its pod, complete.",
    "claim.gone": "An interface will not come home: its device, such as a NIC, is no longer there. The claim is over.",
    "claim.home": "An interface is home, as it was; `by=reboot` if a reboot ended the claim.",
    "claim.promised": "A claim is promised and in the ledger; the runtime may move its interface now. "
    "`effects` has what does not come along, and what of the host suffers.",
    "claim.released": "`nri-netdev release` ended a claim; `troubles` is what could not be restored.",
    "claim.trouble": "An interface is lost, not whole or astray: act on the text in `nri-netdev claims`. Logged once.",
    "container.attached": "A container that ran without its interfaces got them (`on_missed: attach`).",
    "container.missed": "A container runs without its interfaces: it was created while no daemon ran. Restart its pod.",
    "create.refused": "A container was refused; the pod's events have the same reason.",
    "custody.bug": "A bug: report it with the traceback. The container was refused; the daemon goes on.",
    "custody.refused": "The kernel or the disk refused an operation; the daemon tries it again.",
    "daemon.ready": "The daemon is registered with the engine, and its ledger is writable.",
    "daemon.unready": "The daemon can give nothing now; `reason` is why. It still brings home what it can.",
    "daemon.standby": "Another daemon has the state directory; this one waits until that one ends.",
    "daemon.stands_by": "This daemon is registered, answers nothing, and takes over when the other one ends.",
    "daemon.handed_over": "The daemon ends, and leaves the engine's events to the one that stands by.",
    "daemon.took_over": "The daemon that stood by answers from now on; it knows this many `pods` and `containers`.",
    "facet.unread": "A driver does not tell some of an interface just now; that is not compared at home.",
    "holder.died": "A container's first process has ended, and the engine has not told yet; its interface comes home.",
    "health.waits": "The address of the probes is in use, mostly by the active daemon while this one is in standby.",
    "page.bug": "A bug in a page of the status or metrics: report it with the traceback. Nothing else is affected.",
    "notice.refused": "`nri-netdev events`: the API server refused an Event, or is away; what passes is tried again.",
    "notices.started": "`nri-netdev events` runs, and tells pods what becomes of their interfaces.",
    "pools.uncounted": "The kernel refused to list the host's interfaces for the metrics of pools.",
    "daemon.started": "The daemon runs.",
    "daemon.stopped": "The daemon has ended in order.",
    "daemon.stopping": "The daemon got a signal to end, and finishes its current work.",
    "engine.away": "The engine's socket is absent or was closed. Check that the engine runs and that NRI is enabled.",
    "engine.bug": "A bug: report it with the traceback. The event is read in another way, or the daemon reconnects.",
    "engine.broke_protocol": "The engine sent something that NRI does not allow. Check its version.",
    "engine.configured": "The engine has reported its name, its version, that of NRI and its time-out.",
    "engine.connecting": "The daemon connects to the engine's socket.",
    "engine.lost": "The connection to the engine broke; the daemon reconnects.",
    "engine.refused": "The engine refuses the plugin. Check for another one with this name and index.",
    "engine.registered": "The engine has registered the plugin.",
    "engine.synchronized": "The engine has listed its pods and containers; interfaces whose holder is gone come home.",
    "key.unread": "Nobody reads an annotation key of a pod: no container of that name has come, or no grammar has the "
    "key. Correct the key; if the container comes later after all, it is served, and `status` shows the key no more.",
    "lease.given_up": "An IPAM plugin refused an address, and refuses in the same words that it is taken back: it was "
    "asked wrongly, and has given nothing. That is tried no more.",
    "setup.left_behind": "Something set for a pod could not be taken off in its network namespace: a rule, the VRF, a "
    "device; it keeps no interface from coming home.",
    "lease.kept": "An IPAM plugin did not take an address back; `reason` is why. It is tried again, within 384 s at "
    "the latest. Logged once for each reason.",
    "lease.obtained": "An IPAM plugin has given addresses for an interface.",
    "lease.released": "An IPAM plugin has taken the addresses of an interface back.",
    "ledger.unusable": "The ledger cannot be used, so nothing is given. The daemon tries it every second.",
    "runtime.ignored": "An OCI runtime or engine ignores `linux.netDevices`; nri-netdev moves interfaces. Upgrade.",
    "start.prevented": "A container whose interfaces did not arrive was killed before it ran (CRI-O).",
    "start.refused": "A container was refused at its start; the pod's events have the same reason.",
    "stream.away": "`nri-netdev events`: no daemon tells of pods at the socket. It is looked for every second.",
    "stream.back": "`nri-netdev events`: the daemon tells again.",
    "stream.lost": "`nri-netdev events` was away for too long: it missed `count` events, which the daemon's log has.",
    "stream.unavailable": "`nri-netdev events` hears nothing: the socket of `events` cannot be made.",
    "status.unavailable": "`nri-netdev status` gets no answer: the run directory cannot be written.",
    "teardown.late": "The engine is answered before an interface is home; the work goes on. Logged at level debug.",
}


def template(node: ast.AST) -> str | None:
    """A text as it stands in the source, with `…` for every value in it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(template(value) or "…" for value in values)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            first, second = template(left), template(right)
            return None if first is None and second is None else f"{first or '…'}{second or '…'}"
    return None


class _Texts(ast.NodeVisitor):
    """Collects the messages of a module, in its order."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # else a docstring
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in {"execute", "executemany", "executescript", "compile", "LocalProtocolError"}:
            return  # SQL, patterns, and what only a bug of ours can bring about
        hint = next((word.value for word in node.keywords if word.arg == "hint"), None)
        if name == "StateError" and hint is not None:
            self._add(f"{template(node.args[0])}; {template(hint) or '…'}")
            return
        words = node.args[2:] if name == "_setting" else node.args  # default, what it means, how it is read
        named = [word.value for word in node.keywords if word.arg not in {"text", "description", "example"}]  # help
        for child in (node.func, *words, *named):
            self.visit(child)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and key.value in {"help", "title", "description"}):
                self.visit(value)
                if key is not None:
                    self.visit(key)

    def visit_Assign(self, node: ast.Assign) -> None:
        if not any(isinstance(target, ast.Name) and target.id.startswith("_IN_LINK_") for target in node.targets):
            self.visit(node.value)  # else names of sysctls

    def generic_visit(self, node: ast.AST) -> None:
        text = template(node)
        if text is None:
            super().generic_visit(node)
            return
        self._add(text)

    def _add(self, text: str) -> None:
        """Keep a text if it is a message."""
        text = " ".join(text.split())
        if (
            len(re.findall(r"[a-z]{2,}", text)) >= 3
            and " " in text
            and not text.startswith(("CREATE", "BEGIN", "HTTP/"))
        ):
            self.found.append(text)


def messages() -> dict[str, list[str]]:
    """Every message once, by the title of its group."""
    found: dict[str, list[str]] = {group.title: [] for group in GROUPS}
    seen = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if any(fnmatch(module, pattern) for pattern in SILENT):
            continue
        title = next(group.title for group in GROUPS if any(fnmatch(module, pattern) for pattern in group.modules))
        texts = _Texts()
        texts.visit(ast.parse(path.read_text(encoding="utf-8")))
        for text in texts.found:
            if text not in seen:
                seen.add(text)
                found[title].append(text)
    return found


def events() -> set[str]:
    """The name of every event that is logged."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "event" and len(node.args) > 2:
                names |= _names(node.args[2])
    return names


def _names(node: ast.expr) -> set[str]:
    text = template(node) or "…"
    if text == "….refused":  # `f"{doing}.refused"`, doing being what an engine can be refused
        return {"create.refused", "start.refused"}
    if isinstance(node, ast.IfExp):
        return _names(node.body) | _names(node.orelse)
    return {text}


def sections() -> Iterator[tuple[str, str]]:
    """What stands between each pair of markers."""
    found = messages()
    parts = []
    for group in GROUPS:
        if texts := found[group.title]:
            listed = "\n".join(f"- {_code(text)}" for text in sorted(texts, key=str.lower))
            parts.append(f"### {group.title}\n{group.text}\n\n{listed}\n")
    yield "messages", "\n".join(parts)
    unknown = events() - EVENTS.keys()
    if unknown:
        raise SystemExit(f"docs/messages.py: give a meaning in EVENTS to {', '.join(sorted(unknown))}")
    rows = "\n".join(f"| `{name}` | {EVENTS[name]} |" for name in sorted(EVENTS.keys() & events()))
    yield "events", f"| event | what it means |\n|---|---|\n{rows}\n"


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def page(text: str) -> str:
    """The page with its sections as they should be."""
    for name, section in sections():
        begin, end = BEGIN.format(name), END.format(name)
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = f"{head}{begin}\n{section}{end}{tail}"
    return text


def main() -> int:
    """Write or compare; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not what the code gives")
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if parser.parse_args().check:
        if old != new:
            print(f"{PAGE.relative_to(ROOT)} is not what the code gives; run `make docs`", file=sys.stderr)
        return int(old != new)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
