"""Addresses of IPAM plugins: each that was given is taken back, whatever crashes in between."""

from __future__ import annotations

import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nri_netdev import faults
from nri_netdev.custody.leases import AGAIN_AT_LATEST_S, NETWORK, Leases, new_lease
from nri_netdev.custody.returning import AtOnce, StillReturning
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.setup.leases import LeaseResult
from nri_netdev.domain.setup.values import Ipam, Setup
from nri_netdev.errors import KernelError, LocalProtocolError, PluginError, Reason, RequestError, StateError
from nri_netdev.shells.cni.plugin import Plugins
from nri_netdev.shells.store.ledger import Ledger
from tests.custody.test_returning import Slow
from tests.fakes import FakeLedger, FakePlugins
from tests.shells.cni.tools import given, only, real, script, waiting
from tests.shells.store.test_ledger import claim
from tests.world import Killed

STEPS = ("lease.intended", "lease.added", "lease.written", "lease.deleted", "lease.dropped")
REFUSED = PluginError(plugin="fake", command="ADD", reason="no ranges", is_answer=True)


def asking(number: int = 1, plugin: str = "fake", **ipam: object) -> Claim:
    """A claim whose addresses a plugin gives."""
    document = json.dumps({"type": plugin, **ipam})
    mark = f"nri-netdev-{os.getpid():08x}{number:08x}"
    return claim(number, mark=mark, setup=Setup(ipam=Ipam(type=plugin, document=document)))


@dataclass
class Node:
    """A daemon's leases, with one plugin, on one ledger; slow if what runs the plugin is."""

    returns: Slow | AtOnce = field(default_factory=AtOnce)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    plugins: FakePlugins = field(default_factory=FakePlugins)
    clock: float = 1000.0
    needed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.start_daemon()

    def start_daemon(self) -> None:
        self.leases = Leases(self.ledger, self.plugins, self.returns, lambda: self.clock)

    def obtain(self, asker: Claim) -> str:
        self.needed.add(asker.mark)
        return self.leases.obtain(asker).addresses[0].address

    def release(self) -> None:
        self.leases.release_unneeded(self.needed.__contains__)

    def calls(self) -> list[str]:
        """What the plugin was told since the last call, without marks."""
        told, self.plugins.calls = self.plugins.calls, []
        return [call.split()[0] for call in told]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def slow() -> Node:
    return Node(returns=Slow())


def test_what_is_obtained_stays(node: Node) -> None:
    """The plugin is asked once; the next daemon knows what it gave; what is not needed is taken back once."""
    first, second = asking(1), asking(2)
    assert [node.obtain(first), node.obtain(second), node.obtain(first)] == [
        "192.0.2.2/24",
        "192.0.2.3/24",
        "192.0.2.2/24",
    ]
    node.start_daemon()
    node.release()
    assert node.obtain(first) == "192.0.2.2/24"
    assert node.calls() == ["ADD", "ADD"]
    lease = node.leases.get(first.mark)
    assert lease is not None
    assert lease == replace(new_lease(first), result=node.leases.obtain(first), key=lease.key)
    node.needed.clear()
    for _ in range(2):
        node.release()
    assert node.calls() == ["DEL", "DEL"]
    assert (node.ledger.leased, node.plugins.given, node.leases.get(first.mark)) == ({}, {}, None)


def test_what_is_asked() -> None:
    """All that a plugin may want to know, under an id that no other claim ever has."""
    asker = asking(1, "host-local", subnet="192.0.2.0/24")
    lease = new_lease(asker)
    assert (lease.container_id, lease.mark, lease.network) == (asker.mark, asker.mark, NETWORK)
    assert (lease.plugin, json.loads(lease.document)["subnet"]) == ("host-local", "192.0.2.0/24")
    assert (lease.ifname, lease.netns_path) == ("net1", "/run/netns/x")
    assert (lease.namespace, lease.pod, lease.pod_id, lease.pod_uid) == ("default", "web", "p1", "u1")
    assert len(lease.key) == 32
    assert lease.key != new_lease(asker).key
    with pytest.raises(LocalProtocolError):
        new_lease(claim())


def test_a_plugin_that_takes_long(slow: Node) -> None:
    """The job is to be done again; meanwhile the plugin is asked no more, and nothing is taken back."""
    asker = asking()
    for _ in range(2):
        with pytest.raises(StillReturning):
            slow.obtain(asker)
    slow.needed.clear()
    slow.release()
    assert slow.ledger.leased[asker.mark].result is None
    slow.returns.go()
    assert slow.obtain(asker) == "192.0.2.2/24"
    assert slow.calls() == ["ADD"]
    slow.needed.clear()
    for _ in range(2):
        slow.release()
    with pytest.raises(StillReturning):
        slow.obtain(asker)
    slow.returns.go()
    assert (slow.calls(), slow.ledger.leased) == (["DEL"], {})
    with pytest.raises(StillReturning):
        slow.obtain(asker)
    slow.returns.go()
    assert slow.obtain(asker) == "192.0.2.2/24"


def test_a_plugin_that_refuses(slow: Node) -> None:
    """Whoever waits is told its words, once; the next has it asked again, after what it may have given is freed."""
    slow.plugins.refused["ADD"] = REFUSED
    asker = asking()
    for expected in (["ADD"], ["DEL", "ADD"]):
        with pytest.raises(StillReturning):
            slow.obtain(asker)
        slow.returns.go()
        with pytest.raises(RequestError) as caught:
            slow.obtain(asker)
        assert str(caught.value) == (
            "no address for net1 of pod default/web: the IPAM plugin fake did not give an address: no ranges"
        )
        assert caught.value.reason is Reason.ARRIVAL
        assert slow.calls() == expected
    del slow.plugins.refused["ADD"]
    with pytest.raises(StillReturning):
        slow.obtain(asker)
    slow.returns.go()
    assert slow.obtain(asker) == "192.0.2.2/24"
    assert slow.ledger.leased[asker.mark].refusal == ""


def test_a_refusal_that_nobody_waited_for(node: Node, slow: Node) -> None:
    """It is forgotten with the lease."""
    slow.plugins.refused["ADD"] = REFUSED
    with pytest.raises(StillReturning):
        slow.obtain(asking())
    slow.returns.go()
    slow.needed.clear()
    slow.release()
    slow.returns.go()
    assert (slow.leases._refusals, slow.ledger.leased) == ({}, {})


def test_a_plugin_that_is_not_there(node: Node) -> None:
    """It has given nothing, so there is nothing to take back; unless an earlier daemon may have found it."""
    node.plugins.refused["ADD"] = PluginError(plugin="fake", command="ADD", reason="it is nowhere", has_run=False)
    with pytest.raises(RequestError, match="it is nowhere"):
        node.obtain(asking())
    assert node.ledger.leased == {}

    node.ledger.leased[asking().mark] = new_lease(asking())
    node.start_daemon()
    node.plugins.refused["DEL"] = PluginError(plugin="fake", command="DEL", reason="it is nowhere", has_run=False)
    with pytest.raises(RequestError, match="did not take an address back: it is nowhere"):
        node.obtain(asking())
    assert node.ledger.leased


def test_a_bug(slow: Node) -> None:
    """What runs the plugin may fail too."""
    asker = asking()
    bug = KernelError(action="run an IPAM plugin", errno=0, reason="internal error")
    with pytest.raises(StillReturning):
        slow.obtain(asker)
    _, then = slow.returns.begun.pop()
    then(bug)
    with pytest.raises(RequestError, match="cannot run an IPAM plugin: internal error"):
        slow.obtain(asker)
    slow.needed.clear()
    slow.release()
    _, then = slow.returns.begun.pop()
    then(bug)
    assert slow.leases.troubles() == {asker.mark: str(bug)}


def test_what_is_not_taken_back(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again ever more seldom, told once for each reason, and shown until it succeeds."""
    caplog.set_level(logging.INFO)
    asker = asking()
    node.obtain(asker)
    node.needed.clear()
    down = PluginError(plugin="fake", command="DEL", reason="its server is down", is_answer=True)
    node.plugins.refused["DEL"] = down
    node.calls()
    tried = []
    start_s = node.clock
    while node.clock < start_s + 1600:
        node.release()
        tried += [node.clock - start_s] * len(node.calls())
        node.clock += 1
    waits = [after - before for before, after in itertools.pairwise(tried)]
    assert waits == [3, 6, 12, 24, 48, 96, 192, 384, 384, 384]
    assert max(waits) == AGAIN_AT_LATEST_S
    assert node.leases.troubles() == {asker.mark: str(down)}
    assert [record.message for record in caplog.records] == ["lease.obtained", "lease.kept"]
    assert caplog.records[-1].__dict__["fields"] == {
        "plugin": "fake",
        "inside": "net1",
        "pod": "default/web",
        "claim": asker.mark,
        "reason": "the IPAM plugin fake did not take an address back: its server is down",
    }
    node.start_daemon()
    node.release()
    assert node.calls() == ["DEL"]
    node.plugins.refused.clear()
    node.clock += 3
    node.release()
    assert (node.leases.troubles(), node.ledger.leased, node.plugins.given) == ({}, {}, {})
    assert caplog.messages[-1] == "lease.released"


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_asked_by_mistake(node: Node, caplog: pytest.LogCaptureFixture, restart: bool) -> None:
    """A plugin that refuses ADD and DEL in the same words has given nothing: that is not tried for ever."""
    node.plugins.refused = {"ADD": REFUSED, "DEL": replace_command(REFUSED, "DEL")}
    with pytest.raises(RequestError, match="no ranges"):
        node.obtain(asking())
    node.needed.clear()
    if restart:
        node.start_daemon()
    for _ in range(7):
        node.release()
        node.clock += AGAIN_AT_LATEST_S
    assert node.ledger.leased
    node.release()
    assert (node.ledger.leased, node.leases.troubles()) == ({}, {})
    assert [record.message for record in caplog.records] == ["lease.kept", "lease.given_up"]


def replace_command(error: PluginError, command: str, **fields: bool) -> PluginError:
    values = {"has_run": error.has_run, "is_answer": error.is_answer, **fields}
    return PluginError(plugin=error.plugin, command=command, reason=error.reason, **values)


@pytest.mark.parametrize(
    ("add", "delete"),
    [
        (REFUSED, PluginError(plugin="fake", command="DEL", reason="another reason", is_answer=True)),
        (REFUSED, replace_command(REFUSED, "DEL", is_answer=False)),
        (replace_command(REFUSED, "ADD", is_answer=False), replace_command(REFUSED, "DEL", is_answer=True)),
    ],
)
def test_what_may_have_been_given_is_never_given_up(node: Node, add: PluginError, delete: PluginError) -> None:
    """Other words, or none of the plugin's own, prove nothing."""
    node.plugins.refused = {"ADD": add, "DEL": delete}
    with pytest.raises(RequestError):
        node.obtain(asking())
    node.needed.clear()
    for _ in range(30):
        node.release()
        node.clock += AGAIN_AT_LATEST_S
    assert node.ledger.leased


def test_a_ledger_that_cannot_be_written(node: Node) -> None:
    """Without the intent no plugin is asked; without the result it is asked anew, and without the drop too."""
    asker = asking()
    node.ledger.is_full = True
    with pytest.raises(StateError):
        node.obtain(asker)
    assert node.calls() == []

    def full(name: str) -> None:
        node.ledger.is_full = node.ledger.is_full or name in {"lease.added", "lease.deleted"}

    node.ledger.is_full = False
    with faults.hooked(full), pytest.raises(RequestError, match="make room") as caught:
        node.obtain(asker)
    assert caught.value.reason is Reason.LEDGER
    assert node.calls() == ["ADD"]
    node.ledger.is_full = False
    assert node.obtain(asker) == "192.0.2.2/24"
    assert node.calls() == ["DEL", "ADD"]

    node.needed.clear()
    with faults.hooked(full):
        node.release()
    assert "make room" in node.leases.troubles()[asker.mark]
    node.ledger.is_full = False
    node.clock += 3
    node.release()
    assert (node.ledger.leased, node.leases.troubles()) == ({}, {})


def test_few_are_taken_back_at_one_time(slow: Node) -> None:
    """Whoever waits for an address is not to wait for plugins that hang."""
    for number in range(10):
        with pytest.raises(StillReturning):
            slow.obtain(asking(number))
        slow.returns.go()
    slow.needed.clear()
    for _ in range(2):
        slow.release()
    assert len(slow.returns.begun) == 2
    for _ in range(5):
        slow.returns.go()
        slow.release()
    assert slow.ledger.leased == {}


def test_what_cannot_be_begun(node: Node) -> None:
    """It is not under way."""

    class Closed:
        def begin(self, *_: object) -> None:
            raise ZeroDivisionError

    leases = Leases(node.ledger, node.plugins, Closed(), lambda: 0.0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            leases.obtain(asking())
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            leases.release_unneeded(lambda _: False)


# -- crashes, with the real host-local ---------------------------------------------------------------------------------


@dataclass
class Real:
    """A daemon's leases of the real host-local on a real ledger, which may be killed at a fault point."""

    directory: Path
    plugins: Plugins
    subnet: str = "192.0.2.0/28"

    def __post_init__(self) -> None:
        self.data = self.directory / "data"
        self.needed: set[str] = set()
        self.ledger = Ledger(self.directory / "state")
        self.start_daemon()

    def start_daemon(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.directory / "state")
        self.leases = Leases(self.ledger, self.plugins, AtOnce(), lambda: 0.0)

    def asking(self, number: int) -> Claim:
        return asking(number, "host-local", ranges=[[{"subnet": self.subnet}]], dataDir=str(self.data))

    def killed(self, at: str | None, act: Callable[[], object]) -> bool:
        """Do something; be killed at a fault point if it is passed, and start anew; whether that was so."""

        def kill(name: str) -> None:
            if name == at:
                raise Killed

        with faults.hooked(kill):
            try:
                act()
            except Killed:
                self.start_daemon()
                return True
        return False

    def release(self) -> None:
        self.leases.release_unneeded(self.needed.__contains__)

    def assert_nothing_is_given(self) -> None:
        assert self.ledger.leases() == ()
        assert given(self.data) == {}
        assert {path.name for path in (self.data / NETWORK).iterdir()} <= {"last_reserved_ip.0", "lock"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Real]:
    real = Real(tmp_path, Plugins([only(tmp_path / "bin", "host-local")]))
    yield real
    real.ledger.close()


def test_killed_anywhere(host: Real) -> None:
    """200 rounds, each killed at another point: no address is given to two, and in the end none is left."""
    chance = random.Random(1)  # noqa: S311
    holding: dict[str, str] = {}
    killed = dict.fromkeys(STEPS, 0)
    for number in range(200):
        asker = host.asking(number)
        at = (*STEPS, None)[number % 6]
        host.needed.add(asker.mark)
        if host.killed(at, lambda: host.leases.obtain(asker)):  # noqa: B023 - called at once
            killed[at or ""] += 1
        if chance.random() < 0.7:  # else the container did not survive either
            holding[asker.mark] = host.leases.obtain(asker).addresses[0].address
            assert host.leases.obtain(asker).addresses[0].address == holding[asker.mark]
        if len(holding) > 6 or asker.mark not in holding:
            over = chance.choice(sorted(holding)) if asker.mark in holding else asker.mark
            host.needed.discard(over)
            holding.pop(over, None)
        if host.killed(at, host.release):
            killed[at or ""] += 1
        assert len(set(holding.values())) == len(holding)
        assert {mark: f"{address}/28" for address, mark in given(host.data).items() if mark in holding} == holding
    assert min(killed.values()) >= 20
    host.needed.clear()
    host.start_daemon()
    host.release()
    host.assert_nothing_is_given()


def test_killed_again_and_again(host: Real) -> None:
    """A daemon that is killed at each point of the recovery from the last crash gets there in the end."""
    asker = host.asking(1)
    host.needed.add(asker.mark)
    for at in ("lease.intended", "lease.added", "lease.added", "lease.written"):
        assert host.killed(at, lambda: host.leases.obtain(asker))
    assert len(given(host.data)) == 1
    host.needed.clear()
    for at in ("lease.deleted", "lease.deleted", "lease.dropped"):
        assert host.killed(at, host.release)
    host.assert_nothing_is_given()


def test_a_range_that_is_used_up(host: Real) -> None:
    """The words of host-local; when one is taken back, another can have it."""
    askers = [host.asking(number) for number in range(14)]
    host.needed = {asker.mark for asker in askers}
    for asker in askers[:13]:
        host.leases.obtain(asker)
    with pytest.raises(RequestError, match=r"no IP addresses available in range set: 192\.0\.2\.1-192\.0\.2\.14"):
        host.leases.obtain(askers[13])
    host.needed.discard(askers[0].mark)
    host.release()
    assert host.leases.obtain(askers[13]).addresses[0].address == "192.0.2.2/28"
    host.needed.clear()
    for _ in range(4):
        host.release()
    host.assert_nothing_is_given()


DAEMON = """
    import sys
    from pathlib import Path
    from nri_netdev.custody.leases import Leases
    from nri_netdev.custody.returning import AtOnce
    from nri_netdev.shells.cni.plugin import Plugins
    from nri_netdev.shells.store.ledger import Ledger
    from tests.custody import test_leases
    here = Path(sys.argv[1])
    test_leases.os.getpid = lambda: int(sys.argv[2])
    host = test_leases.Real(here, Plugins([here / "bin"]))
    host.leases.obtain(host.asking(1))
"""


def test_killed_while_the_plugin_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin lives on and gives an address to nobody; the next daemon waits for that, and takes it back."""
    waits = waiting(monkeypatch)
    (tmp_path / "bin").mkdir()
    os.mkfifo(tmp_path / "bin/begun")
    os.mkfifo(tmp_path / "bin/go")
    script(
        tmp_path / "bin/host-local",
        'config=$(cat); if [ $CNI_COMMAND = ADD ]; then echo x > "$here/begun"; read x < "$here/go"; fi\n'
        f'echo "$config" | {real("host-local")}; status=$?; echo $CNI_COMMAND >> "$here/log"; exit $status',
    )
    daemon = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DAEMON), tmp_path, str(os.getpid())], cwd=Path(__file__).parents[2]
    )
    (tmp_path / "bin/begun").read_text()
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    host = Real(tmp_path, Plugins([tmp_path / "bin"]))
    assert [lease.result for lease in host.ledger.leases()] == [None]
    releasing = threading.Thread(target=host.release)
    releasing.start()
    assert waits.wait(20)
    (tmp_path / "bin/go").write_text("x\n")
    releasing.join(20)
    assert (tmp_path / "bin/log").read_text() == "ADD\nDEL\n"
    host.assert_nothing_is_given()
    host.ledger.close()


def test_two_at_once(host: Real) -> None:
    """Plugins run side by side, and give different addresses."""
    askers = [host.asking(number) for number in range(12)]
    host.needed = {asker.mark for asker in askers}
    slow = Slow()
    host.leases = Leases(host.ledger, host.plugins, slow, lambda: 0.0)
    for asker in askers:
        with pytest.raises(StillReturning):
            host.leases.obtain(asker)
    outcomes: dict[int, LeaseResult] = {}
    ways = [way for way, _ in slow.begun]
    threads = [threading.Thread(target=lambda n=n: outcomes.setdefault(n, ways[n]())) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for number, (_, then) in enumerate(slow.begun):
        then(outcomes[number])
    assert len({host.leases.obtain(asker).addresses for asker in askers}) == 12
    host.needed.clear()
    host.start_daemon()
    host.release()
    host.assert_nothing_is_given()
