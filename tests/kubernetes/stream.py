"""Pods that come and go without end, each with an interface, as a busy cluster makes them."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Self

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.objects import container, pod

POOL = "- {pool: nics, name: net1}"
"""Asks for any interface of the pool `nics`."""
WITHOUT = 42
"""The status of a pod whose process did not find its interface."""
_COMMAND = ("sh", "-c", f"ip link show net1 >/dev/null 2>&1 || exit {WITHOUT}; sleep 1")
_OVER = frozenset({"Succeeded", "Failed"})
_WATCH = ("get", "pods", "-l", "app=stream", "--watch", "-o", r'jsonpath={.metadata.name} {.status.phase}{"\n"}')


class PodStream:
    """Pods of a namespace, made one after the other; each looks for its interface at its very start, and ends soon.

    Args:
        cluster: where.
        namespace: theirs.
        at_once: how many there may be that have not ended.
        every_s: the shortest time from one to the next.
        asked: the annotation of their container.
        annotations: further ones.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        *,
        at_once: int,
        every_s: float = 0.2,
        asked: str = POOL,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._at_once = at_once
        self._every_s = every_s
        self._asked = asked
        self._annotations = dict(annotations or {})
        self._phases: dict[str, str] = {}
        self._is_over = threading.Event()
        self.count = 0
        """How many were made."""

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Make them for as long as the block lasts, then wait until each has ended."""
        with self._kubectl(*_WATCH) as watch, self._kubectl("create", "-f", "-") as create:
            works = ((self._note, watch), (self._make, create))
            threads = [threading.Thread(target=work, args=[process]) for work, process in works]
            for thread in threads:
                thread.start()
            try:
                yield self
                self._is_over.set()
                assert create.wait(timeout=60) == 0
                self._cluster.wait(lambda: self._alive() == 0, timeout_s=180, what="every pod of the stream ends")
            finally:
                self._is_over.set()
                for process in (create, watch):
                    process.kill()
                for thread in threads:
                    thread.join()

    def wait_count(self, count: int, *, timeout_s: float = 600) -> None:
        """Wait until so many were made."""
        self._cluster.wait(lambda: self.count >= count, timeout_s=timeout_s, what=f"{count} pods, not {self.count}")

    def failures(self) -> list[str]:
        """Say of each pod that did not find its interface, or did not run at all, what became of it."""
        found = self._cluster.get("pods", "-n", self._namespace, "-l", "app=stream")["items"]
        assert len(found) == self.count
        return [_fate(one) for one in found if one["status"]["phase"] != "Succeeded"]

    def retries(self) -> list[str]:
        """What the kubelet warned of on the way: what was refused at first, or took too long."""
        found = self._cluster.get("events", "-n", self._namespace)["items"]
        return [f"{one['involvedObject']['name']}: {one['message']}" for one in found if one["type"] == "Warning"]

    def _alive(self) -> int:
        return self.count - sum(phase in _OVER for phase in tuple(self._phases.values()))

    def _make(self, create: subprocess.Popen) -> None:
        """Write pods to one kubectl, which makes each as it reads it: one for each would cost more than the pod."""
        while not self._is_over.wait(self._every_s):
            if self._alive() < self._at_once:
                create.stdin.write(json.dumps(self._pod(f"stream-{self.count}")) + "\n")
                self.count += 1
        create.stdin.close()

    def _pod(self, name: str) -> dict[str, Any]:
        made = pod(
            name,
            self._namespace,
            asked={"app": self._asked},
            labels={"app": "stream"},
            containers=[container(command=_COMMAND)],
            restartPolicy="Never",
        )
        made["metadata"]["annotations"] |= self._annotations
        return made

    def _note(self, watch: subprocess.Popen) -> None:
        for line in watch.stdout:
            name, _, phase = line.strip().partition(" ")
            self._phases[name] = phase

    def _kubectl(self, *arguments: str) -> subprocess.Popen:
        command, pipe = ["kubectl", "-n", self._namespace, *arguments], subprocess.PIPE
        return self._cluster.machine.popen(
            command, env=self._cluster.environment, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )


def _fate(one: Mapping[str, Any]) -> str:
    name, status = one["metadata"]["name"], one["status"]
    return f"{name}: {status['phase']} {json.dumps(status.get('containerStatuses', status))}"
