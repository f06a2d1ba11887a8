"""Netlink sockets: `RouteSocket` for requests, `RouteEvents` for notifications. Attributes are not decoded here.

An engine waits while these are used: giving one interface away takes some thirty requests, nearly all of which read
(docs/adr/0007, 0008). pyroute2 sends the changes of interfaces.

Numbers are those of `linux/netlink.h`.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x4, 0x10, 0x300

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_NLMSGERR_ATTR_MSG = 1
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
_NETLINK_ADD_MEMBERSHIP = 1
NETLINK_ROUTE = 0
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ERROR = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_BUFFER_BYTES = 1 << 16
"""Twice the largest part of a dump (32 KiB, `netlink_recvmsg`)."""


class NetlinkError(OSError):
    """The kernel refuses a request: `number` is the errno, `reason` its extended acknowledgement or empty."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(number, os.strerror(number))
        self.number = number
        self.reason = reason


class RouteSocket:
    """A socket for requests, in the netns of the thread that opens it. For one thread at a time.

    Args:
        protocol: `NETLINK_*`.

    Raises:
        OSError: The socket cannot be opened.
    """

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        self._buffer = bytearray(_BUFFER_BYTES)
        try:
            for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def request(self, kind: int, flags: int, payload: bytes) -> tuple[list[bytes], bool]:
        """Send one request and read its whole reply.

        Args:
            kind: type of the message, `RTM_*`.
            flags: `NLM_F_*` beside REQUEST; without ACK or DUMP the reply is one message.
            payload: the message without its header.

        Returns:
            The messages of the reply without their headers, and whether something changed during a dump, which may
            then be incomplete.

        Raises:
            NetlinkError: The kernel refuses.
            OSError: The socket fails.
        """
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        length = _HEADER.size + len(payload)
        self._socket.send(_HEADER.pack(length, kind, flags | NLM_F_REQUEST, self._sequence, 0) + payload)
        is_one = not flags & NLM_F_ACK and flags & NLM_F_DUMP != NLM_F_DUMP
        found: list[bytes] = []
        is_cut = False
        while True:
            data = self._receive()
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, its_kind, its_flags, sequence, _ = _HEADER.unpack_from(data, offset)
                body = data[offset + _HEADER.size : offset + length]
                offset += (length + 3) & ~3
                if sequence != self._sequence:
                    continue  # the reply to an earlier request that was interrupted
                is_cut = is_cut or bool(its_flags & NLM_F_DUMP_INTR)
                if its_kind in {_NLMSG_ERROR, _NLMSG_DONE}:
                    _raise_refusal(its_kind, its_flags, body)
                    return found, is_cut
                found.append(body)
                if is_one:
                    return found, is_cut

    def _receive(self) -> bytes:
        size = self._socket.recv_into(self._buffer, 0, socket.MSG_TRUNC)
        if size > len(self._buffer):
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        return bytes(memoryview(self._buffer)[:size])


class RouteEvents:
    """Notifications of changes in the netns of the thread that makes it. Never blocks.

    Args:
        groups: `RTNLGRP_*` (`linux/rtnetlink.h`).

    Raises:
        OSError: The socket cannot be opened.
    """

    def __init__(self, *groups: int) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_ROUTE)
        try:
            self._socket.bind((0, 0))
            for group in groups:
                self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except OSError:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def fileno(self) -> int:
        """A descriptor that is readable when there are notifications."""
        return self._socket.fileno()

    @property
    def is_readable(self) -> bool:
        """Whether there are notifications to read. Faster than `read`."""
        return bool(self._poll.poll(0))

    def read(self) -> list[tuple[int, bytes]] | None:
        """All notifications since the last call, as (type, body); None if the kernel dropped some."""
        found: list[tuple[int, bytes]] = []
        is_cut = False
        while True:
            try:
                data = self._socket.recv(_BUFFER_BYTES)
            except BlockingIOError:
                return None if is_cut else found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                is_cut = True
                continue
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
                found.append((kind, data[offset + _HEADER.size : offset + length]))
                offset += (length + 3) & ~3

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _raise_refusal(kind: int, flags: int, body: bytes) -> None:
    """Raise the error in an acknowledgement or at the end of a dump, if there is one."""
    number = -_ERROR.unpack_from(body)[0] if len(body) >= _ERROR.size else 0
    if number <= 0:
        return
    offset = _ERROR.size
    if kind == _NLMSG_ERROR:  # the request follows, or when capped its header
        offset += _HEADER.size if flags & _NLM_F_CAPPED else _HEADER.unpack_from(body, offset)[0]
    raise NetlinkError(number, _reason(body, (offset + 3) & ~3) if flags & _NLM_F_ACK_TLVS else "")


def _reason(body: bytes, offset: int) -> str:
    """The text among the attributes of a refusal."""
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if kind == _NLMSGERR_ATTR_MSG:
            return body[offset + _ATTRIBUTE.size : offset + length].rstrip(b"\0").decode("utf-8", "replace")
        if length < _ATTRIBUTE.size:
            break
        offset += (length + 3) & ~3
    return ""
