"""Netlink sockets on the kernel: replies, refusals with its own words, and notifications."""

from __future__ import annotations

import errno
import select
import struct

import pytest

from nri_netdev.shells.kernel.messages import RTM_GETLINK, RTM_NEWLINK, link_header, pack_link
from nri_netdev.shells.kernel.mirror import RTNLGRP_LINK
from nri_netdev.shells.kernel.netlink import NLM_F_ACK, NLM_F_DUMP, NetlinkError, RouteEvents, RouteSocket
from nri_netdev.shells.kernel.netns import call_in_netns
from tests.shells.conftest import Net


def test_one_message_or_all() -> None:
    """Loopback is in both; replies to different requests are not mixed up."""
    socket = RouteSocket()
    try:
        for _ in range(3):
            [one], is_cut = socket.request(RTM_GETLINK, 0, pack_link(1, {}))
            every, _ = socket.request(RTM_GETLINK, NLM_F_DUMP, pack_link(0, {}))

            assert link_header(one)[0] == 1
            assert not is_cut
            assert 1 in {link_header(each)[0] for each in every}
    finally:
        socket.close()


def test_a_refusal_has_number_and_reason() -> None:
    """The reason is the kernel's; without one it is empty. The socket can be used afterwards."""
    socket = RouteSocket()
    try:
        with pytest.raises(NetlinkError) as refusal:
            socket.request(RTM_GETLINK, 0, pack_link(4242, {}))
        assert (refusal.value.number, refusal.value.reason) == (errno.ENODEV, "")

        with pytest.raises(NetlinkError) as refusal:
            socket.request(RTM_GETLINK, NLM_F_DUMP, struct.pack("=BxHiII", 0, 1, 0, 0, 0))  # a type is not for dumps
        assert refusal.value.number == errno.EINVAL
        assert "dump" in refusal.value.reason

        assert socket.request(RTM_GETLINK, 0, pack_link(1, {}))[0]
    finally:
        socket.close()


@pytest.mark.root
def test_a_change_is_acknowledged_and_notified(home: Net) -> None:
    """The acknowledgement has no message; the notification has the link."""
    home.ip("link add dev0 type ifb")
    index = home.link("dev0").ifindex
    socket, events = call_in_netns(home.fd, lambda: (RouteSocket(), RouteEvents(RTNLGRP_LINK)))
    try:
        assert not events.is_readable
        assert events.read() == []
        assert socket.request(RTM_NEWLINK, NLM_F_ACK, pack_link(index, {}, 1, 1)) == ([], False)
        assert events.is_readable
        assert select.select([events], [], [], 0)[0] == [events]

        found = events.read()

        assert found is not None
        assert (RTM_NEWLINK, index) in {(kind, link_header(payload)[0]) for kind, payload in found}
        assert not events.is_readable
    finally:
        socket.close()
        events.close()
