"""Every pod of a manifest is found, whatever it is in; and a key of ours that no pod gets is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.annotations.manifest import Finding, pods_in, validate_text
from nri_netdev.domain.annotations.templates import CONTAINERS_READ, STEPS_SHOWN, StrayKey, Template, search
from nri_netdev.domain.text import yaml_nodes

KINDS = sorted((Path(__file__).parent / "kinds").glob("*.yaml"))
KEY = "nri-netdev.io/container.app"


def strays(text: str) -> list[StrayKey]:
    return [found for node in yaml_nodes.load_all(text) for found in search(node) if isinstance(found, StrayKey)]


def templates(text: str) -> list[Template]:
    return [found for node in yaml_nodes.load_all(text) for found in search(node) if isinstance(found, Template)]


def lines(text: str, mark: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if line.endswith(f"# {mark}")]


def told(text: str) -> list[int]:
    found = (re.search(r"[ (]line (\d+)", finding.about) for finding in validate_text("x", text))
    return [int(match[1]) for match in found if match]


@pytest.mark.parametrize("path", KINDS, ids=lambda path: path.stem)
def test_each_key_is_known_for_what_it_is(path: Path) -> None:
    """Each key that a pod gets is read and its value checked; each other is told, once, with its line."""
    text = path.read_text(encoding="utf-8")
    unread, read = lines(text, "unread"), lines(text, "read")
    assert len(unread) + len(read) == len(re.findall(r"^ *(?:nri-netd|net)\S+: [^#]", text, re.MULTILINE))
    assert sorted(told(text)) == unread
    spoilt = re.sub(r": .* # read$", ": '['  # read", text, flags=re.MULTILINE)
    assert sorted({*told(spoilt), *unread}) == sorted([*read, *unread])
    assert set(read) <= set(told(spoilt))


@pytest.mark.parametrize("path", KINDS, ids=lambda path: path.stem)
def test_each_pod_can_be_explained(path: Path) -> None:
    """Each has containers to be explained for, known or named by its annotations."""
    pods = pods_in(path.read_text(encoding="utf-8"))
    assert pods
    assert all(pod.containers and pod.pod.annotations for pod in pods)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            (
                "kind: CronJob\nmetadata: {annotations: {nri-netdev.io/pod: x}}\n"
                "spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a}]}}}}}"
            ),
            "no pod gets it from metadata.annotations; move it to spec.jobTemplate.spec.template.metadata.annotations",
        ),
        (
            "kind: Pod\nmetadata: {labels: {nri-netdev.io/pod: x}}\nspec: {containers: [{name: a}]}",
            "no pod gets it from metadata.labels: only annotations are read; move it to metadata.annotations",
        ),
        (
            "kind: Service\nmetadata: {annotations: {nri-netdev.io/pod: x}}",
            (
                "no pod gets it from metadata.annotations; "
                "move it to the metadata.annotations of a pod or of a pod template"
            ),
        ),
        (
            "kind: X\nspec: {pools: [{}, {b: [[{nri-netdev.io: x}]]}]}",
            (
                "no pod gets it from spec.pools[1].b[0][0]; "
                "move it to the metadata.annotations of a pod or of a pod template"
            ),
        ),
        (
            "nri-netdev.io/pod: x",
            "no pod gets it from here; move it to the metadata.annotations of a pod or of a pod template",
        ),
        (
            "kind: Pod\nmetadata: {annotations: {Nri-netdev.io/pod: x}}\nspec: {containers: [{name: a}]}",
            'is no key of nri-netdev (did you mean "nri-netdev.io/pod"?)',
        ),
    ],
)
def test_a_stray_key_is_told_with_what_to_do(text: str, message: str) -> None:
    """The path where it is, and the path where it belongs."""
    assert [stray.message for stray in strays(text)] == [message]


def test_an_object_in_a_list_is_named_and_sees_no_pod_of_another() -> None:
    """What to do is told within the object that has the key."""
    pod = "{kind: Pod, metadata: {name: b}, spec: {containers: [{name: a}]}}"
    service = "{kind: Service, metadata: {name: s, namespace: n, annotations: {nri-netdev.io/pod: x}}}"
    [stray] = strays(f"kind: List\nmetadata: {{}}\nitems: [{pod}, {service}]")
    assert stray.object == "Service n/s"
    assert "of a pod or of a pod template" in stray.message


def test_a_key_that_a_pod_gets_by_an_anchor_is_read() -> None:
    """Whether the mapping is shared or merged."""
    shared = "x: &x {nri-netdev.io/pod: '[a]'}\npod: {metadata: {annotations: *x}, spec: {containers: [{name: a}]}}"
    assert (strays(shared), len(templates(shared))) == ([], 1)
    merged = shared.replace("annotations: *x", "annotations: {<<: *x}")
    assert (strays(merged), len(templates(merged))) == ([], 1)


def test_anchors_that_nest_without_end_are_searched() -> None:
    """Deeper than any text can, and than Python's stack; paths stay short."""
    steps = "".join(f"- &x{n} {'{a: ' * 30}*x{n - 1}{'}' * 30}\n" for n in range(1, 1000))
    [stray] = strays("- &x0 {b: {nri-netdev.io/pod: x}}\n" + steps)
    assert stray.message.startswith("no pod gets it from [0].b; ")
    inner = "{a: " * 41 + "{nri-netdev.io/pod: x}" + "}" * 41
    [stray] = strays(inner)
    assert stray.message.startswith("no pod gets it from …" + ".".join("a" * STEPS_SHOWN) + "; ")


def test_a_list_of_containers_without_end_is_read_in_part() -> None:
    """More than a pod can have."""
    containers = ", ".join(f"{{name: c{n}}}" for n in range(CONTAINERS_READ + 5))
    [template] = templates(f"metadata: {{annotations: {{{KEY}: '[a]'}}}}\nspec: {{containers: [{containers}]}}")
    assert template.containers is not None
    assert len(template.containers) == CONTAINERS_READ


TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=4)
NAMES = st.sampled_from(["spec", "items", "metadata", "x", "pods", "jobTemplate", "a.b", "0", "labels", "kinds"])
POD_VALUES = st.sampled_from(["[a]", "[a, a]", "[a b]", "- {nmae: x}", "", "[", "null", "{}"])


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(["app", "log", "init"]), min_size=1, max_size=3, unique=True))
    keys = st.sampled_from([KEY, "nri-netdev.io/pod", "nri-netdev.io/container.ap", "nri-netdev.io/x", "other/x"])
    annotations = draw(st.dictionaries(keys, POD_VALUES, min_size=1))
    spec: dict[str, Any] = {"containers": [{"name": name} for name in names]}
    if draw(st.booleans()):
        spec["hostNetwork"] = True
    return {"metadata": {"annotations": annotations}, "spec": spec}


@st.composite
def embedded(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """A pod template, and a document that has it at some depth, among other things."""
    pod = draw(pods())
    document: Any = pod
    for _ in range(draw(st.integers(0, 30))):
        others = draw(st.dictionaries(NAMES, st.none() | TEXTS | st.lists(st.integers(), max_size=2)))
        name = draw(NAMES)
        document = [*others, document] if draw(st.booleans()) else {**others, name: document}
    return pod, document


@given(embedded())
def test_a_template_at_any_depth_is_judged_as_it_is_alone(example: tuple[dict[str, Any], Any]) -> None:
    """The same problems of the same annotations, and none beside."""

    def problems(document: Any) -> list[tuple[str | None, int | None, str]]:
        found = validate_text("x", json.dumps(document, ensure_ascii=False))
        return [(finding.annotation, finding.entry, finding.message) for finding in found]

    alone, document = example
    assert problems(document) == problems(alone)


ANY_KEY = TEXTS | st.sampled_from(
    ["kind", "metadata", "annotations", "spec", "containers", "template", "container", "name", "podMetadata", KEY, "labels"]
)  # fmt: skip


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS | st.sampled_from(["Pod", "Notebook", "[a]"]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_KEY, inner, max_size=6),
        max_leaves=40,
    )
)
def test_any_document_gives_findings_of_one_printable_line(document: Any) -> None:
    """Never an exception; and each key of ours that is told as stray is in the document."""
    text = json.dumps(document, ensure_ascii=False)
    for finding in validate_text("x", text):
        assert isinstance(finding, Finding)
        assert str(finding).isprintable()
    assert len(strays(text)) <= text.count("nri-netdev.io")
