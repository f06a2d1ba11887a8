"""Runs in the virtual machine: does what is asked on the virtio port, one thing after another.

Requests and answers are lines of JSON. {"argv": [...], "input": "", "timeout_s": 60, "env": {}} answers {"status": 0,
"stdout": "", "stderr": ""}; {"dump": "eth0"} answers what `tests.sabotage.dumps` finds, as that has it for other
processes; {"write": "/path", "text": ""} makes a file and its directories. Whatever fails answers {"error": ""}. At its
start it says {"hello": "the kernel's release"}.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import dumps

_PORT = "/dev/virtio-ports/tests.guest"
_CLOSED_S = 0.02
"""How long to wait where nobody holds the other end."""


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if "dump" in request:
        return {"dump": dumps.dump(request["dump"]).as_json()}
    if "write" in request:
        path = Path(request["write"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(request["text"], encoding="utf-8")
        return {}
    done = subprocess.run(
        request["argv"],
        input=request.get("input", ""),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=request["timeout_s"],
        env={**os.environ, **request.get("env", {})},
    )
    return {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def _send(port: int, message: dict[str, Any]) -> None:
    left = json.dumps(message).encode() + b"\n"
    while left:
        left = left[os.write(port, left) :]


def main() -> None:
    """Serve for ever."""
    port = os.open(_PORT, os.O_RDWR)
    _send(port, {"hello": os.uname().release})
    buffer = b""
    while True:
        chunk = os.read(port, 65536)
        if not chunk:
            time.sleep(_CLOSED_S)
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in filter(None, lines):
            try:
                answer = _answer(json.loads(line))
            except Exception as error:  # noqa: BLE001 - it goes to the test that asked
                answer = {"error": repr(error)}
            _send(port, answer)


if __name__ == "__main__":
    main()
