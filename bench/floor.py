"""`python -m bench.floor SOCKET`: the least that a plugin in Python takes.

It speaks NRI as this daemon does, and answers every event unseen, with an empty response, from a loop that does nothing
else. What it takes is the price of being asked: two processes that wake each other.
"""

from __future__ import annotations

import contextlib
import socket
import sys

from nri_netdev.wire.methods import Kind, event_mask
from nri_netdev.wire.session import PluginSession, Synchronized

_BUFFER_BYTES = 1 << 16


def main() -> None:
    """Serve until the engine hangs up."""
    session = PluginSession(
        "floor", "10", events=event_mask(Kind.CREATE_CONTAINER), concerns=lambda _method, _of: False
    )
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with socket.socket(socket.AF_UNIX) as engine, contextlib.suppress(KeyboardInterrupt, ConnectionError):
        engine.connect(sys.argv[1])
        engine.sendall(session.start())
        while size := engine.recv_into(buffer):
            for event in session.receive_data(buffer[:size]):
                if isinstance(event, Synchronized):
                    engine.sendall(session.reply(event.request, None))
            engine.sendall(session.data_to_send())


if __name__ == "__main__":
    main()
