"""A new daemon ends the claims of an earlier boot, and takes away what a crash has left."""

from __future__ import annotations

import errno

import pytest

from nri_netdev.domain.claim import MARK_PREFIX, State
from nri_netdev.errors import KernelError
from tests.world import World, entries


def test_after_a_reboot_everything_counts_as_home() -> None:
    """Hardware gets its name back, and what was virtual is forgotten."""
    world = World()
    world.kernel.add("ens1")
    hardware = world.kernel.add("ens2", kind=None)
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))
    world.kernel.reboot()
    world.kernel.change(hardware, ifname="dev7")
    world.live.clear()
    world.live_pods.clear()
    world.start_daemon()

    world.assert_all_is_home()
    assert set(world.home()) == {"ens2"}


def test_a_name_that_another_has_after_a_reboot_is_left_to_it(caplog: pytest.LogCaptureFixture) -> None:
    """The claim ends all the same, and the log says what could not be put right."""
    world = World()
    hardware = world.kernel.add("ens2", kind=None)
    world.run(world.run_pod(), "app", ("ens2", "net2"))
    world.kernel.reboot()
    world.kernel.change(hardware, ifname="dev7")
    world.kernel.add("ens2", kind=None)
    world.live.clear()
    world.live_pods.clear()
    world.start_daemon()

    world.assert_all_is_home()
    assert set(world.home()) == {"dev7", "ens2"}
    assert [record.__dict__["fields"]["doing"] for record in caplog.records if record.message == "custody.refused"] == [
        "put a name right after a reboot"
    ]


def test_what_was_prepared_before_a_reboot_keeps_the_name_that_it_has_now() -> None:
    """It was perhaps given to nobody, so that an administrator may have renamed it."""
    world = World()
    hardware = world.kernel.add("ens2", kind=None)
    world.prepare(world.run_pod(), {"app": entries(("ens2", "net2"))})
    world.kernel.reboot()
    world.kernel.change(hardware, ifname="uplink")
    world.live_pods.clear()
    world.start_daemon()

    world.assert_all_is_home()
    assert set(world.home()) == {"uplink"}


def test_claims_of_this_boot_are_left_as_they_are(world: World) -> None:
    """The restart of a daemon is no reboot."""
    world.run(world.run_pod(), "app", ("ens1", "net1"))
    before = world.custody.claims
    world.start_daemon(synchronize=False)

    assert world.custody.claims == before
    assert [claim.state for claim in before] == [State.HELD]


def test_pins_and_marks_of_nobody_are_swept_away(world: World) -> None:
    """Pins and marks of claims stay, and so does any other alternative name."""
    world.run(world.run_pod(), "app", ("ens1", "net1"))
    world.create(world.run_pod(), "app", ("ens2", "net1"), moves=False)
    needed = world.kernel.pods.pins()
    other = world.kernel.add("ens3")
    world.kernel.change(other, altnames=("uplink", f"{MARK_PREFIX}0"))
    world.kernel.pods.pin(world.kernel.pods.netns(str(world.kernel.new_netns().path)))
    world.start_daemon(synchronize=False)

    assert world.kernel.pods.pins() == needed
    assert other.link.altnames == ("uplink",)
    claims = world.custody.claims
    assert {name for device in world.kernel.devices for name in device.link.altnames} == {
        "uplink",
        *(claim.mark for claim in claims),
    }
    assert len(claims) == 2


def test_what_cannot_be_swept_away_does_not_keep_a_daemon_from_starting(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and the next start tries again."""
    other = world.kernel.add("ens3")
    world.kernel.change(other, altnames=(f"{MARK_PREFIX}0",))

    def refused(ifindex: int, mark: str) -> None:
        raise KernelError(action=f"take {mark} off {ifindex}", errno=errno.EBUSY)

    with monkeypatch.context() as patch:
        patch.setattr(world.kernel.host, "unmark", refused)
        world.start_daemon()

    assert "custody.refused" in caplog.messages

    world.start_daemon()

    assert other.link.altnames == ()
