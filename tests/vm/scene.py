"""A place with an engine, the daemon and network cards, where an interface is given to a pod and looked at."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from tests.e2e.cri import Crictl
from tests.e2e.machine import CommandError
from tests.sabotage.differences import unnamed
from tests.sabotage.dumps import Dump
from tests.sabotage.still import Still
from tests.vm.kinds import Kind

INSIDE = "net1"
_STILL_S = 0.6
_TRIED_AGAIN_S = 11.0
"""How long the daemon takes to try twice more what an interface lacks."""


class LackingError(Exception):
    """The running kernel cannot make what a scenario is about."""


class Place(Protocol):
    """Where a scenario plays."""

    name: str
    cards: Mapping[str, str]
    """The names of its network cards, by what kinds call them."""
    patience_s: float
    """How long something may take that takes a moment."""

    crictl: Crictl

    def sh(self, script: str) -> str:
        """Run lines of sh of which each must succeed."""
        ...

    def dump(self, ifname: str) -> Dump:
        """What programs tell of all links."""
        ...

    def claims(self) -> list[dict[str, Any]]:
        """What `nri-netdev claims` tells."""
        ...

    def device(self, ifname: str) -> dict[str, Any]:
        """What `nri-netdev devices` tells of an interface."""
        ...

    def kill_daemon(self) -> None:
        """End it on the spot, and keep it from starting."""
        ...

    def start_daemon(self) -> None:
        """Start it, and wait until it is the engine's plugin."""
        ...

    def kill_engine(self) -> None:
        """End it on the spot; its containers go on."""
        ...

    def start_engine(self) -> None:
        """Start it."""
        ...


@dataclass(slots=True)
class Scene:
    """One interface in one place, and the pod that asks for it."""

    place: Place
    kind: Kind
    asks: Mapping[str, Any] = field(default_factory=dict)
    """What the pod asks to be set on it, by the fields of an entry."""
    pods: int = 0
    pod: str = ""
    container: str = ""
    before: Dump = field(default_factory=Dump)

    @property
    def ifname(self) -> str:
        """What is given."""
        return self.kind.ifname(self.place.cards)

    @property
    def still(self) -> Still:
        """Looks at all that is there."""
        read = partial(self.place.dump, self.ifname)
        return Still(read=read, patience_s=self.place.patience_s, interval_s=_STILL_S, still_s=_STILL_S)

    def prepare(self) -> None:
        """Make the interface, and remember all that is there.

        Raises:
            LackingError: The kernel has no such kind.
        """
        try:
            self.place.sh(self.kind.script(self.place.cards))
        except CommandError as error:
            if "Unknown device type" in error.stderr or "Operation not supported" in error.stderr:
                raise LackingError(error.stderr.strip()) from None
            raise
        self.before = self.still.settled()

    def told(self) -> tuple[str, ...]:
        """What is told that giving it away does besides."""
        return tuple(self.place.device(self.ifname)["effects"])

    # -- the pod ---------------------------------------------------------------------------------------------------

    def give(self) -> None:
        """Run a pod with a container that asks for it."""
        self.run_pod()
        self.again()

    def run_pod(self) -> None:
        """Run a pod whose container is to ask for it."""
        self.pods += 1
        asks = json.dumps([{"interface": self.ifname, "name": INSIDE, **self.asks}])
        annotations = {"nri-netdev.io/container.app": asks}
        self.pod = self.place.crictl.run_pod(f"web{self.pods}", annotations=annotations)

    def again(self) -> None:
        """Run the container in its pod, for the first time or, as a kubelet does, again."""
        self.container = self.place.crictl.run(self.pod, "app")
        self.must_be_inside()

    @property
    def pid(self) -> int:
        """The container's process."""
        return int(self.place.crictl.inspect(self.container)["info"]["pid"])

    def inside(self, script: str) -> str:
        """Run lines of sh in the container's netns, with all capabilities."""
        quoted = script.replace("'", "'\\''")
        return self.place.sh(f"nsenter --target {self.pid} --net sh -ec '{quoted}'")

    def must_be_inside(self) -> None:
        """Check that the pod has it, as it was on the host, and up; what is asked for is checked by who asks."""
        if self.asks:
            return
        [link] = json.loads(self.inside(f"ip -json addr show dev {INSIDE}"))
        assert "UP" in link["flags"], link
        assert "192.0.2.5" in {address["local"] for address in link["addr_info"]}, link

    def delete(self) -> None:
        """Delete the pod."""
        self.place.crictl.delete_pod(self.pod)
        self.pod = self.container = ""

    # -- at home ---------------------------------------------------------------------------------------------------

    def troubles(self) -> list[str]:
        """Wait until every claim is over, or says why it cannot be; returns what claims say is wrong.

        What a driver takes only once its link is up is tried again, after three and after six seconds.
        """
        deadline = time.monotonic() + self.place.patience_s
        told_since: float | None = None
        while claims := self.place.claims():
            if not all(claim["state"] in {"partial", "lost", "gone"} for claim in claims):
                told_since = None
            elif time.monotonic() - (told_since := told_since or time.monotonic()) > _TRIED_AGAIN_S:
                break
            assert time.monotonic() < deadline, f"not home after {self.place.patience_s:.0f} s: {claims}"
            time.sleep(0.2)
        return [str(trouble) for claim in claims for trouble in claim.get("troubles", ())]

    def must_be_whole(self) -> str:
        """Check that all is as before, and that nothing has to be told but what cannot be otherwise.

        Returns:
            What is told so, or "".
        """
        troubles = self.troubles()
        excused = [each for each in troubles if self.kind.told and re.search(self.kind.told, each)]
        gone = {*" ".join(excused).split()}
        found = unnamed(self.still.differences(self.before, troubles), excused)
        differences = [each for each in found if each.subject.partition(" ")[0] not in gone]
        text = "\n".join([*(f"told: {each}" for each in troubles), *map(str, differences)])
        assert troubles == excused, text
        assert not differences, text
        return excused[0].partition(" could ")[0] if excused else ""


def wait(what: Callable[[], Any], *, patience_s: float, why: str) -> Any:
    """Wait until something is so; commands that fail are tried again."""
    deadline = time.monotonic() + patience_s
    error: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except CommandError as failed:
            error = failed
        time.sleep(0.2)
    raise AssertionError(f"not so after {patience_s:.0f} s: {why} {error or ''}")
