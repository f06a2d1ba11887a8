"""A notice as an object of Kubernetes."""

from __future__ import annotations

from dataclasses import replace

import kubernetes_validate
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.events.notice import MESSAGE_BYTES, PodRef, fitting, object_of, path_of
from tests.events.logged import POD, START_S, notice


def test_the_object() -> None:
    """It is one that Kubernetes' schemas know, of the pod by its uid, and says when and how often."""
    made = object_of(notice(), count=3, first_s=START_S, last_s=START_S + 61.9, node="node-1")
    kubernetes_validate.validate(made, "1.37", strict=True)

    assert made["involvedObject"]["uid"] == POD.uid
    assert (made["firstTimestamp"], made["lastTimestamp"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:21Z")
    assert (made["count"], made["source"]) == (3, {"component": "nri-netdev", "host": "node-1"})
    assert path_of(notice()) == f"/api/v1/namespaces/default/events/{made['metadata']['name']}"


def test_the_same_notice_is_the_same_object() -> None:
    """Whoever writes it; another pod of the same name, another type, reason or message is another one."""
    one = notice()
    others = [
        replace(one, pod=replace(POD, uid="u2")),
        notice(warning=True),
        replace(one, reason="InterfaceHome"),
        notice("in the pod: nic1"),
    ]

    assert notice().name == one.name
    assert len({one.name, *(other.name for other in others)}) == 5


@given(st.from_regex(r"[a-z]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True))
def test_a_name_that_kubernetes_takes(name: str) -> None:
    """However long the pod's is."""
    made = notice(pod=PodRef(namespace="default", name=name, uid="u")).name
    assert len(made) <= 253
    assert ".." not in made.removeprefix(name[:230])
    assert "-." not in made[-18:]


@given(st.text(max_size=2000))
def test_a_message_fits(text: str) -> None:
    """In bytes of UTF-8, whole characters only; what fits is as it was."""
    made = fitting(text)
    assert len(made.encode()) <= MESSAGE_BYTES
    assert made == text if len(text.encode()) <= MESSAGE_BYTES else text.startswith(made[:-1]) and made[-1] == "…"
