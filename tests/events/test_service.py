"""From what the daemon tells to objects at an API server, by way of failures on either side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nri_netdev.errors import ConfigurationError, StateError
from nri_netdev.events.service import WRITES, EventService
from nri_netdev.shells.kube.client import ApiClient, Backoff
from nri_netdev.shells.kube.cluster import ApiServer
from nri_netdev.shells.observe.listener import ToldEvent
from tests.events.telling import POD, START_S, told
from tests.shells.kube.server import HOST, ApiStandIn, serving, status


class Scripted:
    """A daemon that tells these things, turn by turn; an error is that it is away."""

    def __init__(self) -> None:
        self.lost = 0
        self.turns: list[list[ToldEvent] | StateError] = []

    def hear(self, _: float) -> tuple[ToldEvent, ...]:
        turn = self.turns.pop(0) if self.turns else []
        if isinstance(turn, StateError):
            raise turn
        return tuple(turn)


class Scene:
    """A service between such a daemon and an API server, with a clock that is set."""

    def __init__(self, api: ApiStandIn, token: str = "") -> None:
        self.api = api
        self.daemon = Scripted()
        self.now_s = START_S
        self.slept: list[float] = []
        self.token: str | Exception = token
        self.client = ApiClient(ApiServer(host=HOST, port=api.port, is_secure=False, token=self._token))
        self.service = EventService(
            self.daemon,
            self.client,
            node="node-1",
            backoff=Backoff(chance=lambda: 1.0),
            now_s=lambda: self.now_s,
            sleep=self.slept.append,
        )

    def _token(self) -> str:
        if isinstance(self.token, Exception):
            raise self.token
        return self.token

    def turn(self, *events: ToldEvent, later_s: float = 0.0) -> None:
        """Let the service hear these, and then let time go by."""
        self.daemon.turns.append(list(events))
        self.service.turn()
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
    scene.turn(told("claim.arrived", ifname="nic0", inside="net1"), told("claim.arrived", ifname="nic1", inside="nic1"))
    assert scene.api.events == []
    scene.now_s += 1
    scene.turn(later_s=1)
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
        told("claim.arrived", 2.0, ifname=name, inside=inside) for name, inside in (("nic0", "net1"), ("nic1", "nic1"))
    ]
    scene.turn(*again, later_s=2)
    scene.turn()
    (made,) = scene.api.events
    assert (made["count"], made["lastTimestamp"] > made["firstTimestamp"]) == (2, True)


def test_heard_again_it_is_the_same(scene: Scene) -> None:
    """A service that has been restarted hears the whole ring, and writes the same objects."""
    events = [told("claim.home", at_s, ifname=f"nic{at_s % 2}") for at_s in range(6)]
    scene.now_s += 10
    scene.turn(*events)
    scene.turn()
    before = dict(scene.api.objects)
    other = Scene(scene.api)
    other.now_s = scene.now_s
    other.turn(*events)
    other.turn()
    other.client.close()
    assert scene.api.objects == before
    assert len(scene.api.asked) == 4


def test_the_server_is_away(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is left alone for longer and longer, the log says so once, and all is written when it is back."""
    caplog.set_level("INFO")
    scene.api.refusals += [status(503, "ServiceUnavailable", "busy")] * 2
    scene.turn(told("claim.home", ifname="nic0"), told("key.unread", key="k", reason="r"), later_s=1)
    scene.turn()
    assert len(scene.api.asked) == 1
    scene.turn(later_s=1)
    scene.turn()
    assert len(scene.api.asked) == 2
    scene.turn(later_s=1.5)
    scene.turn()
    assert len(scene.api.asked) == 2
    scene.now_s += 1
    scene.turn()
    assert scene.counts() == {"back on the node, as before: nic0": 1, "annotation k: r": 1}
    assert [record.getMessage() for record in caplog.records] == ["notice.refused"]


def test_it_asks_to_be_left_alone(scene: Scene) -> None:
    """Retry-After counts."""
    scene.api.refusals.append(status(429, "TooManyRequests", "later", Retry_After="30"))
    scene.turn(told("claim.home", ifname="nic0"), later_s=29)
    scene.turn()
    scene.turn(later_s=29)
    assert len(scene.api.asked) == 1
    scene.turn(later_s=2)
    scene.turn()
    assert len(scene.api.asked) == 2


@pytest.mark.parametrize(
    ("refusal", "is_told"),
    [
        (status(404, "NotFound", 'namespaces "default" not found'), False),
        (status(403, "Forbidden", "unable to create: because it is being terminated"), False),
        (status(403, "Forbidden", "may not patch events"), True),
        (status(422, "Invalid", "message is too long"), True),
    ],
)
def test_what_will_never_be_written(
    scene: Scene, caplog: pytest.LogCaptureFixture, refusal: object, is_told: bool
) -> None:
    """Is let go, and the rest is written; a namespace that is gone is no error."""
    scene.api.refusals.append(refusal)  # type: ignore[arg-type]
    scene.turn(told("key.unread", key="k", reason="r"), told("claim.home", ifname="nic0"), later_s=1)
    scene.turn()
    assert [found["reason"] for found in scene.api.events][-1:] == ["InterfaceHome"]
    assert len(scene.api.asked) == 2
    assert ("notice.refused" in caplog.text) == is_told


def test_a_token_that_cannot_be_read(scene: Scene) -> None:
    """Will be there again."""
    scene.token = ConfigurationError("cannot read the token")
    scene.turn(told("claim.home", ifname="nic0"), later_s=1)
    scene.turn(later_s=1)
    assert scene.api.asked == []
    scene.token = "secret"  # noqa: S105 - of nobody
    scene.turn()
    assert len(scene.api.events) == 1


def test_the_daemon_is_away(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is looked for now and then; the log says once that it is away, that it is back, and what was lost."""
    caplog.set_level("INFO")
    scene.daemon.turns += [StateError("no daemon")] * 3
    for _ in range(3):
        scene.service.turn()
    scene.daemon.lost = 7
    scene.turn()
    assert scene.slept == [1.0] * 3
    assert [record.getMessage() for record in caplog.records] == ["stream.away", "stream.back", "stream.lost"]
    assert caplog.records[-1].__dict__["fields"] == {"count": 7}


def test_many_pods_at_once(scene: Scene) -> None:
    """Are written turn by turn."""
    pods = [POD.__class__(namespace="default", name=f"web-{number}", uid=f"u{number}") for number in range(WRITES + 3)]
    scene.turn(*(told("claim.home", pod=pod, ifname="nic0") for pod in pods), later_s=1)
    scene.turn()
    assert len(scene.api.events) == WRITES
    scene.turn()
    assert len(scene.api.events) == WRITES + 3


def test_the_end(scene: Scene) -> None:
    """What is held back is written when it is told to end."""

    class Ended(BaseException):
        """As a signal's handler raises it."""

    def hear(_: float) -> tuple[ToldEvent, ...]:
        scene.daemon.hear = end  # type: ignore[method-assign]
        return (told("claim.home", ifname="nic0"),)

    def end(_: float) -> tuple[ToldEvent, ...]:
        raise Ended

    scene.daemon.hear = hear  # type: ignore[method-assign]
    with pytest.raises(Ended):
        scene.service.run()
    assert len(scene.api.events) == 1
