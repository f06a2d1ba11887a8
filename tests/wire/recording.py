"""Recorded conversations with an engine: the bytes of both directions, what was answered, what it meant.

A recording is a JSON file in `tests/wire/recorded`, and needs no engine to be replayed.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import Message

from nri_netdev.proto import nri_pb2
from nri_netdev.wire.session import Configured, Event, Pending, PluginSession, Request, Synchronized

RECORDED = Path(__file__).parent / "recorded"

ENGINE = "engine"
PLUGIN = "plugin"


@dataclass(kw_only=True)
class Recording:
    """One connection from its first byte to its last.

    Attributes:
        engine: what was talked to.
        plugin: arguments of the `PluginSession` that talked.
        chunks: who sent and which bytes, in the order seen by the plugin; the cuts mean nothing.
        answers: what the plugin decided, in order; see `answer`.
        events: what the session told, in order; see `describe`.
    """

    engine: str
    plugin: dict[str, str | int]
    chunks: list[tuple[str, bytes]] = field(default_factory=list)
    answers: list[dict[str, str | int]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def sent_by(self, who: str) -> bytes:
        """Join what one side sent."""
        return b"".join(data for sender, data in self.chunks if sender == who)

    def note_reply(self, request: Pending, message: Message | None) -> None:
        """Add the answer to a request."""
        answer = {"stream_id": request.stream_id, "message": "", "payload": ""}
        if message is not None:
            answer |= {"message": message.DESCRIPTOR.name, "payload": message.SerializeToString().hex()}
        self.answers.append(answer)

    def note_refusal(self, request: Pending, text: str) -> None:
        """Add the refusal of a request."""
        self.answers.append({"stream_id": request.stream_id, "refusal": text})

    def save(self, path: Path) -> None:
        """Write the file."""
        chunks = [[sender, data.hex()] for sender, data in self.chunks]
        path.write_text(json.dumps(vars(self) | {"chunks": chunks}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read a file."""
        found = json.loads(path.read_text())
        return cls(**found | {"chunks": [(sender, bytes.fromhex(data)) for sender, data in found["chunks"]]})


def answer(session: PluginSession, request: Pending, answers: list[dict[str, str | int]]) -> bytes:
    """Answer a request as it was answered when recorded; returns what to send."""
    [found] = [recorded for recorded in answers if recorded["stream_id"] == request.stream_id]
    if "refusal" in found:
        return session.refuse(request, found["refusal"])
    if not found["message"]:
        return session.reply(request, None)
    message = getattr(nri_pb2, found["message"]).FromString(bytes.fromhex(found["payload"]))
    return session.reply(request, message)


def describe(event: Event) -> str:
    """Tell an event in one line, with what it is about."""
    name = type(event).__name__
    if isinstance(event, Request):
        devices = ",".join(sorted(event.container.linux.net_devices))
        return " ".join(filter(None, [name, event.kind.name, event.pod.name, event.container.name, devices]))
    if isinstance(event, Synchronized):
        names = [one.name for one in (*event.pods, *event.containers)]
        return " ".join([name, *sorted(names)])
    if isinstance(event, Configured):
        return f"{name} {event.runtime_name} {event.runtime_version} {event.events:#x}"
    return name
