"""From what the daemon tells to objects at an API server, by way of failures on either side."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from nri_netdev.errors import ConfigurationError, StateError
from nri_netdev.events.correlator import BURST
from nri_netdev.events.service import LISTEN_S, WRITES, EventService
from nri_netdev.shells.kube.client import ApiClient
from nri_netdev.shells.kube.cluster import ApiServer
from nri_netdev.shells.observe.listener import LogEvent
from tests.events.logged import POD, START_S, logged
from tests.shells.kube.server import HOST, ApiStandIn, serving, status


class Scripted:
    """A daemon that logs these things, poll by poll; an error is that it is away."""

    def __init__(self) -> None:
        self.lost = 0
        self.polls: list[list[LogEvent] | StateError] = []

    def receive(self, _: float) -> tuple[LogEvent, ...]:
        poll = self.polls.pop(0) if self.polls else []
        if isinstance(poll, StateError):
            raise poll
        return tuple(poll)


class Longest(random.Random):
    """Shortens no pause."""

    def uniform(self, _: float, b: float) -> float:
        return b


class Scene:
    """A service between such a daemon and an API server, with a clock that is set."""

    def __init__(self, api: ApiStandIn, token: str = "") -> None:
        self.api = api
        self.daemon = Scripted()
        self.now_s = START_S
        self.set_back_s = 0.0
        """Of the wall clock."""
        self.slept: list[float] = []
        self.token: str | Exception = token
        self.client = ApiClient(ApiServer(host=HOST, port=api.port, is_secure=False, token=self._token))
        self.service = EventService(
            self.daemon,
            self.client,
            node="node-1",
            rng=Longest(),
            clock=self,
        )

    def time(self) -> float:
        return self.now_s - self.set_back_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def _token(self) -> str:
        if isinstance(self.token, Exception):
            raise self.token
        return self.token

    def poll(self, *events: LogEvent, later_s: float = 0.0) -> None:
        """Let the service receive these, and then let time go by."""
        self.daemon.polls.append(list(events))
        self.service.poll()
        self.now_s += later_s

    def counts(self) -> dict[str, int]:
        return {found["message"]: found["count"] for found in self.api.events}


@pytest.fixture
def scene() -> Iterator[Scene]:
    with serving() as api:
        found = Scene(api)
        yield found
        found.client.close()


def test_an_object_for_a_notice(scene: Scene) -> None:
    """Of this pod, from this node, once nothing more belongs to it; more of the same is the same object."""
    scene.poll(
        logged("claim.arrived", ifname="nic0", inside="net1"), logged("claim.arrived", ifname="nic1", inside="nic1")
    )
    assert scene.api.events == []
    scene.now_s += 1
    scene.poll(later_s=1)
    (made,) = scene.api.events
    assert made["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "default",
        "name": "web",
        "uid": POD.uid,
    }
    assert (made["message"], made["reason"], made["count"]) == (
        "in the pod: nic0 as net1, nic1",
        "InterfaceArrived",
        1,
    )
    assert (made["source"]["host"], made["reportingComponent"]) == ("node-1", "nri-netdev")
    again = [
        logged("claim.arrived", 2.0, ifname=name, inside=inside)
        for name, inside in (("nic0", "net1"), ("nic1", "nic1"))
    ]
    scene.poll(*again, later_s=2)
    scene.poll()
    (made,) = scene.api.events
    assert (made["count"], made["lastTimestamp"] > made["firstTimestamp"]) == (2, True)


def test_heard_again_it_is_the_same(scene: Scene) -> None:
    """A service that has been restarted hears the whole ring, and writes the same objects."""
    events = [logged("claim.home", at_s, ifname=f"nic{at_s % 2}") for at_s in range(6)]
    scene.now_s += 10
    scene.poll(*events)
    scene.poll()
    before = dict(scene.api.objects)
    other = Scene(scene.api)
    other.now_s = scene.now_s
    other.poll(*events)
    other.poll()
    other.client.close()
    assert scene.api.objects == before
    assert len(scene.api.asked) == 4


def test_the_server_is_away(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is left alone for longer and longer, the log says so once, and all is written when it is back."""
    caplog.set_level("INFO")
    scene.api.refusals += [status(503, "ServiceUnavailable", "busy")] * 2
    scene.poll(logged("claim.home", ifname="nic0"), logged("key.unread", key="k", reason="r"), later_s=1)
    scene.poll()
    assert len(scene.api.asked) == 1
    scene.poll(later_s=1)
    scene.poll()
    assert len(scene.api.asked) == 2
    scene.poll(later_s=1.5)
    scene.poll()
    assert len(scene.api.asked) == 2
    scene.now_s += 1
    scene.poll()
    assert scene.counts() == {"back on the node, as before: nic0": 1, "annotation k: r": 1}
    assert [record.getMessage() for record in caplog.records] == ["notice.refused"]


def test_it_asks_to_be_left_alone(scene: Scene) -> None:
    """Retry-After counts."""
    scene.api.refusals.append(status(429, "TooManyRequests", "later", Retry_After="30"))
    scene.poll(logged("claim.home", ifname="nic0"), later_s=29)
    scene.poll()
    scene.poll(later_s=29)
    assert len(scene.api.asked) == 1
    scene.poll(later_s=2)
    scene.poll()
    assert len(scene.api.asked) == 2


@pytest.mark.parametrize(
    ("refusal", "is_logged"),
    [
        (status(404, "NotFound", 'namespaces "default" not found'), False),
        (status(403, "Forbidden", "unable to create: because it is being terminated"), False),
        (status(403, "Forbidden", "may not patch events"), True),
        (status(422, "Invalid", "message is too long"), True),
    ],
)
def test_what_will_never_be_written(
    scene: Scene, caplog: pytest.LogCaptureFixture, refusal: object, is_logged: bool
) -> None:
    """Is let go, and the rest is written; a namespace that is gone is no error."""
    scene.api.refusals.append(refusal)  # type: ignore[arg-type]
    scene.poll(logged("key.unread", key="k", reason="r"), logged("claim.home", ifname="nic0"), later_s=1)
    scene.poll()
    assert [found["reason"] for found in scene.api.events][-1:] == ["InterfaceHome"]
    assert len(scene.api.asked) == 2
    assert ("notice.refused" in caplog.text) == is_logged


def test_a_token_that_cannot_be_read(scene: Scene) -> None:
    """Will be there again."""
    scene.token = ConfigurationError("cannot read the token")
    scene.poll(logged("claim.home", ifname="nic0"), later_s=1)
    scene.poll(later_s=1)
    assert scene.api.asked == []
    scene.token = "secret"  # noqa: S105 - of nobody
    scene.poll()
    assert len(scene.api.events) == 1


def test_the_daemon_is_away(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is looked for now and then; the log says once that it is away, that it is back, and what was lost."""
    caplog.set_level("INFO")
    scene.daemon.polls += [StateError("no daemon")] * 3
    for _ in range(3):
        scene.service.poll()
    scene.daemon.lost = 7
    scene.poll()
    assert scene.slept == [1.0] * 3
    assert [record.getMessage() for record in caplog.records] == ["stream.away", "stream.back", "stream.lost"]
    assert caplog.records[-1].__dict__["fields"] == {"count": 7}


def test_many_pods_at_once(scene: Scene) -> None:
    """Are written poll by poll."""
    pods = [POD.__class__(namespace="default", name=f"web-{number}", uid=f"u{number}") for number in range(WRITES + 3)]
    scene.poll(*(logged("claim.home", pod=pod, ifname="nic0") for pod in pods), later_s=1)
    scene.poll()
    assert len(scene.api.events) == WRITES
    scene.poll()
    assert len(scene.api.events) == WRITES + 3


def test_the_clock_is_set_back(scene: Scene) -> None:
    """Whoever waits waits no longer for that."""
    scene.set_back_s = -1800
    scene.api.refusals.append(status(503, "ServiceUnavailable", "busy"))
    scene.poll(logged("claim.home", ifname="nic0"), later_s=1)
    scene.poll()
    scene.set_back_s = 86_400
    scene.now_s += 1
    scene.poll()
    assert len(scene.api.asked) == 2


def test_one_that_the_server_cannot_take(scene: Scene) -> None:
    """Holds back no other pod, though it comes first by its kind and is tried again."""
    other = POD.__class__(namespace="default", name="db", uid="u2")
    scene.poll(logged("key.unread", key="k", reason="r"), logged("claim.home", pod=other, ifname="nic0"), later_s=1)
    for _ in range(2):
        scene.api.refusals.append(status(500, "InternalError", "a webhook"))
        scene.poll(later_s=1)
        scene.api.refusals.clear()
        if not scene.api.events:
            scene.poll()
    assert "back on the node, as before: nic0" in scene.counts()


def ending(scene: Scene, *polls: Callable[[], tuple[LogEvent, ...]]) -> None:
    """Run the service; these are the daemon's answers, and then it is away."""
    answers = iter(polls)

    def receive(_: float) -> tuple[LogEvent, ...]:
        answer = next(answers, None)
        if answer is None:
            raise StateError("the daemon hung up")
        return answer()

    scene.daemon.receive = receive  # type: ignore[method-assign]
    scene.service.run()


def test_the_end(scene: Scene) -> None:
    """What the daemon logs before it ends too is written, of however many pods, and whatever else fails."""
    pods = [POD.__class__(namespace="default", name=f"web-{number}", uid=f"u{number}") for number in range(WRITES + 3)]

    def signalled() -> tuple[LogEvent, ...]:
        scene.service.end()
        return tuple(logged("key.unread", key=f"k{number}", reason="r") for number in range(BURST + 1))

    def last() -> tuple[LogEvent, ...]:
        scene.api.refusals.append(status(500, "InternalError", "a webhook"))
        return tuple(logged("claim.home", pod=pod, ifname="nic0") for pod in pods)

    ending(scene, signalled, last)
    assert len(scene.api.events) == WRITES + 3 + BURST + 1


def test_a_daemon_that_goes_on(scene: Scene) -> None:
    """Is listened to for some seconds; an API server that is away is left in time."""

    def signalled() -> tuple[LogEvent, ...]:
        scene.service.end()
        return (logged("claim.home", ifname="nic0"),)

    def later() -> tuple[LogEvent, ...]:
        scene.now_s += 1
        return ()

    scene.api.refusals += [status(503, "ServiceUnavailable", "busy")] * 100
    ending(scene, signalled, *[later] * 100)
    assert LISTEN_S < scene.now_s - START_S < 30
    assert scene.api.events == []
