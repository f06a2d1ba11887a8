"""One daemon after the other while pods are created: none runs without its interface, those that run are untouched.

`make e2e-kubernetes-rolls` does more of it: ROLLS and PODS say how much.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nri_netdev import __version__
from tests.kubernetes.away import away
from tests.kubernetes.cluster import NODE, Cluster
from tests.kubernetes.journal import Journal
from tests.kubernetes.nics import Nics
from tests.kubernetes.objects import container, pod
from tests.kubernetes.other_version import write_other_version
from tests.kubernetes.product import DAEMON_SET, IMAGE, NAMESPACE, Product, pod_monitor_definition
from tests.kubernetes.stream import POOL, PodStream

ROLLS, PODS = (int(os.environ.get(name, default)) for name, default in (("ROLLS", "3"), ("PODS", "36")))
OTHER_VERSION = "0.0.9"
OTHER = f"{IMAGE.rpartition(':')[0]}:{OTHER_VERSION}"
CONFIG = {
    "pools": {"nics": [{"interface": "nic*"}]},
    "rules": [{"namespaces": ["*"], "interfaces": [{"interface": "own*"}], "pools": ["nics"]}],
}
AT_ONCE = 12
SPARE = 4
"""Interfaces on their way home, whose pods are over."""
REQUIRED = {"required-plugins.noderesource.dev": '["nri-netdev"]'}
METRICS_AWAY_S = 3
"""Less than it takes to miss a scrape."""
LONG = ("sleep", "123456")


@pytest.fixture(scope="session")
def other(cluster: Cluster, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the name of the image of another version, which the engine has."""
    path = tmp_path_factory.mktemp("other") / "other.tar"
    write_other_version(archive, path, name=OTHER, version=OTHER_VERSION)
    cluster.engine.load_image(path, OTHER)
    path.unlink()
    return OTHER


@pytest.fixture
def pooled(uninstalled: Product, nics: Nics) -> Product:
    """Give nri-netdev with a pool of interfaces, as installed."""
    nics.add_many(AT_ONCE + SPARE)
    uninstalled.reinstall(config=CONFIG)
    return uninstalled


@pytest.fixture
def journal(pooled: Product) -> Iterator[Journal]:
    """Give what the daemons log from now on."""
    with Journal(pooled.cluster.machine).kept() as journal:
        yield journal


@pytest.fixture
def look(pooled: Product, nics: Nics, namespace: str) -> Callable[[], Sequence[Any]]:
    """Run a pod with an interface of its own; give a look at what must stay: container, process, interface's index."""
    cluster = pooled.cluster
    nics.add("own0", is_plain=True)
    asked = {"app": "- {interface: own0, name: net1}"}
    cluster.apply(pod("long", namespace, asked=asked, containers=[container(command=LONG)]))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/long", "-n", namespace)

    def look() -> Sequence[Any]:
        (status,) = cluster.get("pod", "long", "-n", namespace)["status"]["containerStatuses"]
        index = cluster.kubectl("exec", "long", "-n", namespace, "--", "cat", "/sys/class/net/net1/ifindex")
        pids = [pid for pid, line in cluster.machine.processes().items() if line == " ".join(LONG)]
        return status["containerID"], status["restartCount"], index, pids

    return look


def roll(product: Product, number: int, other: str) -> None:
    """Replace the daemon: by the other version, by this one, by the same again."""
    if number % 3 == 2:
        product.kubectl("rollout", "restart", DAEMON_SET)
    else:
        product.cluster.kubectl("apply", "-k", product.kustomization(config=CONFIG, image=(other, IMAGE)[number % 3]))
    product.wait_rolled_out()


@pytest.mark.matrix
def test_rolls(
    pooled: Product, other: str, journal: Journal, look: Callable[[], Sequence[Any]], namespace: str
) -> None:
    """From one version to the other, back, and restarted, again and again, under load."""
    before, begun_s = look(), time.monotonic()
    stream = PodStream(pooled.cluster, namespace, at_once=AT_ONCE)
    with stream.running():
        for number in range(ROLLS):
            stream.wait_count(number * PODS // ROLLS + 2)
            roll(pooled, number, other)
        stream.wait_count(PODS)
        every_s = (time.monotonic() - begun_s) / stream.count
    gaps_ms = [gap * 1000 for gap in journal.gaps_s()]
    print(
        f"\n{pooled.cluster.engine.name}: {ROLLS} rolls, {stream.count} pods, one every {every_s:.2f} s; "
        f"not as it should be {len(stream.failures())}, refused at first {len(stream.retries())}; "
        f"taking over {statistics.median(gaps_ms):.0f} ms after handing over, {max(gaps_ms):.0f} ms at most"
    )

    assert stream.failures() == []
    assert journal.entries(r"container\.missed") == []
    assert len(gaps_ms) == ROLLS
    versions = [entry.text.partition("version=")[2].split()[0] for entry in journal.entries(r"daemon\.started")]
    assert versions == [(OTHER_VERSION, __version__, __version__)[number % 3] for number in range(ROLLS)]
    assert look() == before


@pytest.mark.usefixtures("validating")
def test_its_pod_is_deleted(pooled: Product, journal: Journal, namespace: str) -> None:
    """Then the next one is made only when it is gone. Pods that require nri-netdev wait meanwhile: none is without."""
    (daemon,) = pooled.pods()
    stream = PodStream(pooled.cluster, namespace, at_once=AT_ONCE, annotations=REQUIRED)
    with stream.running():
        stream.wait_count(8)
        pooled.kubectl("delete", "pod", daemon["metadata"]["name"])
        pooled.wait_rolled_out()
        stream.wait_count(stream.count + 4)
    (ended,) = journal.entries(r"daemon\.stopped")
    began = journal.entries(r"engine\.synchronized")[-1]
    print(
        f"\n{pooled.cluster.engine.name}: nobody there for {began.time_s - ended.time_s:.1f} s "
        f"after its pod was deleted; of {stream.count} pods {len(stream.retries())} were refused at first"
    )

    assert journal.entries(r"daemon\.handed_over") == []
    assert stream.failures() == []


@pytest.mark.usefixtures("validating")
def test_nobody_is_there(pooled: Product, namespace: str) -> None:
    """A pod that requires nri-netdev waits for it, and says so."""
    cluster = pooled.cluster
    with away(pooled):
        waiting = pod("web", namespace, asked={"app": POOL})
        waiting["metadata"]["annotations"] |= REQUIRED
        cluster.apply(waiting)
        told = 'required plugin "nri-netdev" not present'
        cluster.wait(lambda: told in cluster.kubectl("describe", "pod", "web", "-n", namespace), what=told)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "-n", namespace)
    assert "net1" in cluster.kubectl("exec", "web", "-n", namespace, "--", "ip", "link")


_LOOK = """
import sys, threading, time, urllib.request
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
seen, longest, count = time.monotonic(), 0, 0
while not over.wait(0.02):
    try:
        assert b"nri_netdev_build" in urllib.request.urlopen("http://192.0.2.2:9809/metrics", timeout=2).read()
    except OSError:
        continue
    seen, longest, count = time.monotonic(), max(longest, time.monotonic() - seen), count + 1
print(max(longest, time.monotonic() - seen), count)
"""
"""Asks for metrics until told to end, and tells how long nobody gave any, in seconds, and how often somebody did."""


def test_two_on_a_node(pooled: Product) -> None:
    """While the next one stands by beside the one that serves, metrics and probes are answered, and no pod waits."""
    cluster = pooled.cluster
    cluster.apply(pod_monitor_definition())
    pooled.install(config=CONFIG, components=["pod-monitor"])
    pipe = subprocess.PIPE
    with cluster.machine.popen([sys.executable, "-c", _LOOK], stdin=pipe, stdout=pipe, text=True) as asking:
        pooled.kubectl("rollout", "restart", DAEMON_SET)
        pooled.wait_rolled_out()
        said, _ = asking.communicate(timeout=10)
    longest_s, count = map(float, said.split())
    print(f"\n{cluster.engine.name}: metrics were away for {longest_s * 1000:.0f} ms at most; {count:.0f} times there")

    (daemon,) = pooled.pods()
    assert [one["restartCount"] for one in daemon["status"]["containerStatuses"]] == [0]
    reasons = {event["reason"] for event in cluster.get("events", "-n", NAMESPACE)["items"]}
    assert not reasons & {"FailedScheduling", "BackOff"}
    assert count > 0
    assert longest_s < METRICS_AWAY_S


def test_a_full_node(pooled: Product, namespace: str) -> None:
    """Where there is no room for two, a pod of lower priority makes room: no upgrade waits for ever."""
    cluster = pooled.cluster
    free = _bytes(cluster.get("node", NODE)["status"]["allocatable"]["memory"])
    for one in cluster.get("pods", "--all-namespaces")["items"]:
        if one["status"]["phase"] == "Running":
            requests = (part.get("resources", {}).get("requests", {}) for part in one["spec"]["containers"])
            free -= sum(_bytes(found.get("memory", "0")) for found in requests)
    taken = {"requests": {"memory": str(free - 32 * 2**20)}}
    cluster.apply(pod("filler", namespace, containers=[container(resources=taken)]))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/filler", "-n", namespace)
    pooled.kubectl("rollout", "restart", DAEMON_SET)
    pooled.wait_rolled_out()

    assert cluster.find("pod", "filler", "-n", namespace) is None
    assert "Preempted" in cluster.kubectl("get", "events", "-n", namespace)


def _bytes(quantity: str) -> int:
    """What a quantity of memory means, as the API server writes it here."""
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi|)", quantity).groups()
    return int(number) * {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]
