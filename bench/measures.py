"""What is measured, of one plugin at a time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import host
from bench.contender import ONE, Contender, Device, Engine, Started

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
        figures |= _spread("plain_life", engine.times("life", size.plain, warm_up=size.plain // 10).whole_us)
        annotated = engine.times("create", size.annotated, warm_up=size.annotated // 10, netns=pod, devices=ONE)
        figures |= _spread("annotated", annotated.rest_us) | _spread("annotated_pod", annotated.whole_us)
        figures |= _spread("life", engine.times("life", size.lives, warm_up=1, netns=pod, devices=ONE).whole_us)
    with engine.running(contender, pods=size.residents) as started:
        figures["synchronize_ms"] = started.synchronize_ms
        engine.times("create", 10)
        figures["residents_peak_mib"] = started.memory().peak
    return figures


def plain(engine: Engine, contender: Contender, size: Size) -> Figures:
    """CreateContainer without annotation alone, once."""
    with engine.running(contender):
        return _plain(engine, size)


def _plain(engine: Engine, size: Size) -> Figures:
    return _spread("plain", engine.times("create", size.plain, warm_up=size.plain // 10).rest_us)


def _spread(name: str, times_us: Sequence[float]) -> Figures:
    return {f"{name}_p50_us": percentile(times_us, 50), f"{name}_p99_us": percentile(times_us, 99)}


# -- cost against scale ------------------------------------------------------------------------------------------------


def by_interfaces(engine: Engine, contender: Contender, size: Size) -> dict[int, float]:
    """Median of an annotated CreateContainer in microseconds, by how many interfaces the host has."""
    pod = host.add_pod_netns(0)
    found = {}
    for count in size.interfaces:
        others = [f"other{number}" for number in range(count - 1)]
        with host.veths(others), engine.running(contender):
            times = engine.times("create", size.scaled, warm_up=3, netns=pod, devices=ONE)
        found[count] = percentile(times.rest_us, 50)
    return found


def by_claims(engine: Engine, contender: Contender, size: Size) -> dict[int, float]:
    """The same, by how many other containers hold an interface each, in pods."""
    pod = host.add_pod_netns(0)
    found = {}
    for count in size.claims:
        devices = [Device(interface=f"held{number}", inside=f"net{number}") for number in range(count)]
        holders = [
            (f"holder-{number}", host.add_pod_netns(1 + number // SHARED_BY), (device,))
            for number, device in enumerate(devices)
        ]
        interfaces = host.veths(device.interface for device in devices)
        with interfaces, engine.running(contender), engine.claimed(holders):
            times = engine.times("create", size.scaled, warm_up=3, netns=pod, devices=ONE)
        found[count] = percentile(times.rest_us, 50)
    return found


def by_entries(engine: Engine, contender: Contender, size: Size) -> dict[int, float]:
    """The same, by how many interfaces the annotation asks for."""
    pod = host.add_pod_netns(0)
    names = [f"wide{number}" for number in range(max(size.entries))]
    devices = [Device(interface=name, inside=f"net{number}") for number, name in enumerate(names)]
    found = {}
    with host.veths(names), engine.running(contender):
        for count in size.entries:
            times = engine.times("create", max(3, size.scaled // count), warm_up=1, netns=pod, devices=devices[:count])
            found[count] = percentile(times.rest_us, 50)
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


EVENTS_OF_A_LIFE = 7
"""That the engine tells: RunPodSandbox, the four of a container, and the two of its pod's end."""
SAMPLES = 10
_ANNOTATED_OF = 100


def _work(engine: Engine, started: Started, lives: int, warm_up: int) -> Iterator[Sample]:
    """Go on for ever: so many lives, of which one in a hundred has an interface, and a sample."""
    pod = host.add_pod_netns(0)
    engine.times("life", warm_up, netns=pod, devices=ONE)
    begin = time.monotonic()
    events = 0
    while True:
        plain = engine.times("life", lives - lives // _ANNOTATED_OF)
        annotated = engine.times("life", max(1, lives // _ANNOTATED_OF), netns=pod, devices=ONE)
        events += lives * EVENTS_OF_A_LIFE
        yield Sample(
            events=events,
            elapsed_s=time.monotonic() - begin,
            rss_mib=started.memory().now,
            fds=started.fds(),
            plain_p50_us=percentile(plain.whole_us, 50),
            annotated_p50_us=percentile(annotated.whole_us, 50),
        )


def growth(engine: Engine, contender: Contender, size: Size, *, seconds: float = 0) -> list[Sample]:
    """Samples of a run of as many events as the size says: ten; or of so many seconds: one every ten or so."""
    samples: list[Sample] = []
    lives = 5000 if seconds else math.ceil(size.events / SAMPLES / EVENTS_OF_A_LIFE)
    with engine.running(contender) as started:
        for sample in _work(engine, started, lives, size.warm_up):
            samples.append(sample)
            if sample.elapsed_s >= seconds if seconds else len(samples) == SAMPLES:
                return samples
    raise AssertionError
