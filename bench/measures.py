"""What is measured, of one plugin at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import host
from bench.contender import Contender, Device, Engine, Started

ONE = (Device(interface="ens1", inside="net1"),)
"""The annotated container's interface: one end of a veth, with an address."""
SHARED_BY = 50
"""How many live claims share a pod's netns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is done."""

    rounds: int
    plain: int
    """CreateContainer without annotation, a round."""
    annotated: int
    lives: int
    residents: int
    """Pods, with a container each, of the large Synchronize."""
    interfaces: tuple[int, ...]
    """Of the host: points of the first plot."""
    claims: tuple[int, ...]
    """That are live: points of the second."""
    entries: tuple[int, ...]
    """In an annotation: points of the third."""
    scaled: int
    """CreateContainer a point."""
    warm_up: int
    """Annotated lives before the test for growth: they fill what is bounded and remembered."""
    events: int
    """Of the test for growth."""


WHOLE = Size(
    rounds=5,
    plain=3000,
    annotated=300,
    lives=60,
    residents=5000,
    interfaces=(1, 100, 1000),
    claims=(0, 10, 50, 250, 1000),
    entries=(1, 2, 4, 8, 16, 32, 64),
    scaled=60,
    warm_up=300,
    events=100_000,
)
SHORT = Size(
    rounds=1,
    plain=20,
    annotated=5,
    lives=2,
    residents=50,
    interfaces=(1, 3),
    claims=(0, 2),
    entries=(1, 2),
    scaled=3,
    warm_up=1,
    events=60,
)
"""Enough to see that all of it works."""

Figures = dict[str, float]
"""By name of the measure; the unit is the name's end."""


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile, by linear interpolation; the only value if there is one."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def one_round(engine: Engine, contender: Contender, size: Size) -> Figures:
    """Everything that is compared, once."""
    pod = host.add_pod_netns(0)
    figures: Figures = {}
    with engine.running(contender) as started:
        figures["registered_ms"] = started.registered_ms
        figures["idle_peak_mib"] = started.memory().peak
        figures |= _plain(engine, size)
        annotated = engine.times_us("create", size.annotated, warm_up=size.annotated // 10, netns=pod, devices=ONE)
        figures |= _spread("annotated", annotated)
        figures |= _spread("life", engine.times_us("life", size.lives, warm_up=1, netns=pod, devices=ONE))
    with engine.running(contender, pods=size.residents) as started:
        figures["synchronize_ms"] = started.synchronize_ms
        engine.times_us("create", 10)
        figures["residents_peak_mib"] = started.memory().peak
    return figures


def plain(engine: Engine, contender: Contender, size: Size) -> Figures:
    """CreateContainer without annotation alone, once."""
    with engine.running(contender):
        return _plain(engine, size)


def _plain(engine: Engine, size: Size) -> Figures:
    return _spread("plain", engine.times_us("create", size.plain, warm_up=size.plain // 10))


def _spread(name: str, times_us: Sequence[float]) -> Figures:
    return {f"{name}_p50_us": percentile(times_us, 50), f"{name}_p99_us": percentile(times_us, 99)}


# -- cost against scale ------------------------------------------------------------------------------------------------


def by_interfaces(engine: Engine, contender: Contender, size: Size) -> dict[int, float]:
    """Median of an annotated CreateContainer in microseconds, by how many interfaces the host has."""
    pod = host.add_pod_netns(0)
    found = {}
    for count in size.interfaces:
        others = [f"other{number}" for number in range(count - 1)]
        host.add_veths(others)
        with engine.running(contender):
            times = engine.times_us("create", size.scaled, warm_up=3, netns=pod, devices=ONE)
        found[count] = percentile(times, 50)
        host.remove(others)
    return found


def by_claims(engine: Engine, contender: Contender, size: Size) -> dict[int, float]:
    """The same, by how many other containers hold an interface each, in pods."""
    pod = host.add_pod_netns(0)
    found = {}
    for count in size.claims:
        devices = [Device(interface=f"held{number}", inside=f"net{number}") for number in range(count)]
        host.add_veths(device.interface for device in devices)
        holders = [
            (f"holder-{number}", host.add_pod_netns(1 + number // SHARED_BY), (device,))
            for number, device in enumerate(devices)
        ]
        with engine.running(contender), engine.claimed(holders):
            times = engine.times_us("create", size.scaled, warm_up=3, netns=pod, devices=ONE)
            found[count] = percentile(times, 50)
        host.remove(device.interface for device in devices)
    return found


def by_entries(engine: Engine, contender: Contender, size: Size) -> dict[int, float]:
    """The same, by how many interfaces the annotation asks for."""
    pod = host.add_pod_netns(0)
    names = [f"wide{number}" for number in range(max(size.entries))]
    host.add_veths(names)
    devices = [Device(interface=name, inside=f"net{number}") for number, name in enumerate(names)]
    found = {}
    with engine.running(contender):
        for count in size.entries:
            times = engine.times_us(
                "create", max(3, size.scaled // count), warm_up=1, netns=pod, devices=devices[:count]
            )
            found[count] = percentile(times, 50)
    host.remove(names)
    return found


SCALES = {
    "interfaces of the host": by_interfaces,
    "live claims": by_claims,
    "entries of the annotation": by_entries,
}


# -- growth ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A plugin at one moment of a long run."""

    events: int
    elapsed_s: float
    rss_mib: float
    fds: int
    plain_p50_us: float
    annotated_p50_us: float


EVENTS_OF_A_LIFE = 6
_ANNOTATED_OF = 100


def _work(engine: Engine, started: Started, lives: int, warm_up: int) -> Iterator[Sample]:
    """Go on for ever: so many lives, of which one in a hundred has an interface, and a sample."""
    pod = host.add_pod_netns(0)
    engine.times_us("life", warm_up, netns=pod, devices=ONE)
    begin = time.monotonic()
    events = 0
    while True:
        plain = engine.times_us("events", lives - lives // _ANNOTATED_OF)
        annotated = engine.times_us("life", max(1, lives // _ANNOTATED_OF), netns=pod, devices=ONE)
        events += lives * EVENTS_OF_A_LIFE
        yield Sample(
            events=events,
            elapsed_s=time.monotonic() - begin,
            rss_mib=started.memory().now,
            fds=started.fds(),
            plain_p50_us=percentile(plain, 50),
            annotated_p50_us=percentile(annotated, 50),
        )


def growth(engine: Engine, contender: Contender, size: Size, *, seconds: float = 0) -> list[Sample]:
    """Samples of a run of as many events as the size says: ten; or of so many seconds: one every ten or so."""
    samples: list[Sample] = []
    lives = 5000 if seconds else max(1, size.events // 10 // EVENTS_OF_A_LIFE)
    with engine.running(contender) as started:
        for sample in _work(engine, started, lives, size.warm_up):
            samples.append(sample)
            if sample.elapsed_s >= seconds if seconds else sample.events >= size.events:
                return samples
    raise AssertionError
