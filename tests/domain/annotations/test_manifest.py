"""Manifests are checked before there is a node, with the words and the eyes of the daemon."""

from __future__ import annotations

import json
from textwrap import indent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.annotations.manifest import MOST_FINDINGS, Finding, validate_text
from tests.domain.work import calls_of


def pod(annotations: str, *, containers: str = "[{name: app}]", spec: str = "", kind: str = "Pod") -> str:
    """A manifest whose first annotation is in line 7 (of a Pod)."""
    template = (
        "metadata:\n  name: web\n  namespace: default\n  annotations:\n"
        f"{indent(annotations, '    ')}\nspec:\n  containers: {containers}\n{indent(spec, '  ')}\n"
    )
    depth = {"Pod": "", "PodTemplate": "template:", "CronJob": "spec:jobTemplate:spec:template:"}.get(
        kind, "spec:template:"
    )
    for level in reversed(depth.split(":")[:-1]):
        template = f"{level}:\n{indent(template, '  ')}"
    head = "" if kind == "Pod" else "metadata:\n  name: web\n"
    return f"apiVersion: v1\nkind: {kind}\n{head}{template}"


def found(text: str) -> list[str]:
    """The findings, as they are printed."""
    return [str(finding) for finding in validate_text("web.yaml", text)]


KINDS = [
    "Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "PodTemplate",
    "Rollout",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_with_a_pod_template_is_checked(kind: str) -> None:
    """Kubernetes' own kinds and a third party's."""
    [finding] = validate_text("web.yaml", pod("nri-netdev.io/container.app: '- a b'", kind=kind))
    assert (finding.document, finding.annotation, finding.entry) == (1, "nri-netdev.io/container.app", 1)
    assert finding.message == 'interface "a b" contains whitespace (" ")'
    assert found(pod("nri-netdev.io/container.app: '- a'", kind=kind)) == []


def test_json_is_read_too() -> None:
    """As kubectl does."""
    manifest = {
        "kind": "Pod",
        "metadata": {"name": "web", "annotations": {"nri-netdev.io/pod": "- ens2f0\n- ens2f0"}},
        "spec": {"containers": [{"name": "app"}, {"name": "b"}]},
    }
    assert found(json.dumps(manifest, indent="\t")) == [
        'web.yaml:1:nri-netdev.io/pod:2: interface "ens2f0" is asked for twice, first in entry 1 (Pod web, line 6)'
    ]


PROBLEMS = {
    "a field": (
        pod("nri-netdev.io/container.app: |\n  - ens2f0\n  - interface: ens2f1\n    nmae: net1"),
        [
            (
                'web.yaml:1:nri-netdev.io/container.app:2: unknown field "nmae" (did you mean "name"?) '
                "(Pod default/web, line 7, field nmae)"
            )
        ],
    ),
    "not YAML inside": (
        pod("nri-netdev.io/container.app: |\n  - ens2f0\n  - ["),
        [
            (
                "web.yaml:1:nri-netdev.io/container.app:-: the annotation is not YAML: did not find expected node content "
                "(Pod default/web, line 7, line 3 of the value)"
            )
        ],
    ),
    "no such container": (
        pod("nri-netdev.io/container.ap: '[a]'\nnetwork-devices.nri.io/container.zzz: '- hostIf: b'"),
        [
            (
                'web.yaml:1:nri-netdev.io/container.ap:-: the pod has no container "ap" (did you mean "app"?) '
                "(Pod default/web, line 7)"
            ),
            (
                'web.yaml:1:network-devices.nri.io/container.zzz:-: the pod has no container "zzz"; it has "app" '
                "(Pod default/web, line 8)"
            ),
        ],
    ),
    "its value is read all the same": (
        pod("nri-netdev.io/container.zzz: '[a b]'"),
        [
            (
                'web.yaml:1:nri-netdev.io/container.zzz:-: the pod has no container "zzz"; it has "app" '
                "(Pod default/web, line 7)"
            ),
            (
                'web.yaml:1:nri-netdev.io/container.zzz:1: interface "a b" contains whitespace (" ") '
                "(Pod default/web, line 7, field interface)"
            ),
        ],
    ),
    "unknown keys": (
        pod("nri-netdev.io/contaner.app: '[a]'\nnetdevice.noderesource.dev/container.app: '[]'"),
        [
            (
                "web.yaml:1:netdevice.noderesource.dev/container.app:-: unknown annotation key, which is ignored "
                "(Pod default/web, line 8)"
            ),
            (
                'web.yaml:1:nri-netdev.io/contaner.app:-: unknown annotation key (did you mean "nri-netdev.io/container.app"?) '
                "(Pod default/web, line 7)"
            ),
        ],
    ),
    "the host network": (
        pod("nri-netdev.io/pod: '[a]'", spec="hostNetwork: true"),
        [
            (
                "web.yaml:1:nri-netdev.io/pod:-: the pod is on the host network, where every interface already is; "
                "remove hostNetwork: true or the annotation (Pod default/web, line 7)"
            )
        ],
    ),
    "too long a key": (
        pod(f"nri-netdev.io/container.{'c' * 54}: '[a]'", containers=f"[{{name: {'c' * 54}}}]"),
        [
            (
                f"web.yaml:1:nri-netdev.io/container.{'c' * 54}:-: the part after / has 64 characters, and Kubernetes takes 63; "
                "shorten the container's name, or ask for the pod (Pod default/web, line 7)"
            )
        ],
    ),
    "no text": (
        pod("nri-netdev.io/pod: [a]"),
        [
            (
                "web.yaml:1:nri-netdev.io/pod:-: the value must be a text, not a list; write | and the list below it "
                "(Pod default/web, line 7)"
            )
        ],
    ),
    "nothing": (
        pod("nri-netdev.io/pod:"),
        [
            (
                "web.yaml:1:nri-netdev.io/pod:-: the annotation is empty; write a list of interfaces, or [] for none "
                "(Pod default/web, line 7)"
            )
        ],
    ),
    "beside the template": (
        (
            "kind: Deployment\nmetadata: {name: web, annotations: {nri-netdev.io/pod: '[a]'}}\n"
            "spec: {template: {spec: {containers: [{name: app}]}}}\n"
        ),
        [
            (
                "web.yaml:1:nri-netdev.io/pod:-: no pod gets it from metadata.annotations; "
                "move it to spec.template.metadata.annotations (Deployment web, line 2)"
            )
        ],
    ),
    "another comes first": (
        pod(
            "network-devices.noderesource.dev/pod: '- hostIf: a'\nnetwork-devices.nri.io/pod: '- hostIf: b'\n"
            "network-devices.nri.io/container.log: '- hostIf: c'",
            containers="[{name: app}, {name: log}]",
        ),
        [
            (
                "web.yaml:1:network-devices.nri.io/pod:-: no container reads it, since another annotation of that plugin "
                "comes first; remove one of them (Pod default/web, line 8)"
            ),
        ],
    ),
    "no container at all": (
        pod("nri-netdev.io/container.: '[a]'\nnri-netdev.io/container.a: '[b]'", containers="[]"),
        [
            (
                "web.yaml:1:nri-netdev.io/container.:-: unknown annotation key, which names no container "
                "(Pod default/web, line 7)"
            ),
            'web.yaml:1:nri-netdev.io/container.a:-: the pod has no container "a" (Pod default/web, line 8)',
        ],
    ),
    "many containers": (
        pod(
            "nri-netdev.io/container.zzz: '[a]'", containers="[" + ", ".join(f"{{name: c{n}}}" for n in range(9)) + "]"
        ),
        [
            (
                'web.yaml:1:nri-netdev.io/container.zzz:-: the pod has no container "zzz"; it has "c0", "c1", "c2", "c3", '
                '"c4", "c5", "c6", "c7", … (Pod default/web, line 7)'
            )
        ],
    ),
    "in a template": (
        pod("nri-netdev.io/pod: '[a b]'", kind="CronJob"),
        [
            (
                'web.yaml:1:nri-netdev.io/pod:1: interface "a b" contains whitespace (" ") (CronJob web, '
                "spec.jobTemplate.spec.template.metadata.annotations, line 13, field interface)"
            )
        ],
    ),
    "container and pod want the same": (
        pod("nri-netdev.io/pod: '[a]'\nnri-netdev.io/container.app: '[a]'"),
        [
            (
                'web.yaml:1:nri-netdev.io/pod:1: interface "a" is asked for twice, first in annotation '
                "nri-netdev.io/container.app, entry 1 (Pod default/web, line 7)"
            )
        ],
    ),
    "two containers want the same": (
        pod(
            "nri-netdev.io/container.app: '[a, {interface: b, name: n}]'\n"
            "nri-netdev.io/container.log: '[a, {interface: c, name: n}]'",
            containers="[{name: app}, {name: log}]",
        ),
        [
            (
                'web.yaml:1:nri-netdev.io/container.log:1: interface "a" is asked for by container "app" too, '
                "annotation nri-netdev.io/container.app, entry 1 (Pod default/web, line 8)"
            ),
            (
                'web.yaml:1:nri-netdev.io/container.log:2: the name "n" is wanted by container "app" too, '
                "annotation nri-netdev.io/container.app, entry 2 (Pod default/web, line 8)"
            ),
        ],
    ),
}


@pytest.mark.parametrize(("text", "findings"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_wrong_is_told_with_file_document_annotation_and_entry(text: str, findings: list[str]) -> None:
    """The exact words."""
    assert found(text) == findings


@pytest.mark.parametrize(
    ("init", "clashes"),
    [
        ("{name: one}", False),
        ("{name: one, restartPolicy: Always}", True),
        ("{name: two}, {name: one, restartPolicy: Always}", True),
    ],
)
def test_containers_that_never_meet_may_ask_for_the_same(init: str, clashes: bool) -> None:
    """An init container has given its interface back when the next container starts; a sidecar has not."""
    annotations = "nri-netdev.io/container.one: '[a]'\nnri-netdev.io/container.app: '[a]'"
    assert bool(found(pod(annotations, spec=f"initContainers: [{init}]"))) == clashes


@pytest.mark.parametrize(
    ("init", "clashes"),
    [
        ("{name: side, restartPolicy: Always}, {name: one}", True),
        ("{name: one}, {name: side, restartPolicy: Always}", False),
    ],
)
def test_a_sidecar_meets_only_the_init_containers_after_it(init: str, clashes: bool) -> None:
    """It runs from its place on."""
    annotations = "nri-netdev.io/container.one: '[a]'\nnri-netdev.io/container.side: '[a]'"
    assert bool(found(pod(annotations, spec=f"initContainers: [{init}]"))) == clashes


def test_what_an_init_container_got_for_the_pod_stays() -> None:
    """So a later container cannot have it for itself."""
    annotations = "network-devices.nri.io: '- hostIf: a'\nnetwork-devices.nri.io/container.app: '- hostIf: a'"
    [finding] = found(pod(annotations, spec="initContainers: [{name: one}]"))
    assert 'interface "a" is asked for by container "one" too' in finding


def test_what_the_pod_asks_is_no_clash_between_its_containers() -> None:
    """And what is wrong with it is told once, not once for each container."""
    containers = "[{name: a}, {name: b}, {name: c}]"
    assert found(pod("nri-netdev.io/pod: '[a]'", containers=containers)) == []
    assert len(found(pod("nri-netdev.io/pod: '[a b]'", containers=containers))) == 1


def test_documents_are_counted_and_what_has_no_pod_is_skipped() -> None:
    """Any kind may be in the file; a List is looked into."""
    bad = pod("nri-netdev.io/pod: '[a b]'").replace("\n", "\n    ")
    text = f"kind: ConfigMap\n---\n---\nkind: List\nitems:\n  - {bad}\n  - kind: Service\n---\n- a\n---\ntext\n"
    [finding] = validate_text("web.yaml", text)
    assert finding.document == 3
    assert "(Pod default/web, line " in str(finding)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "- a", "kind: Pod", "kind: [Pod]", "kind: Pod\nspec: {containers: {}}", "kind: Pod\nmetadata: x\nspec: y",
        "kind: Deployment\nspec: {template: {spec: {rules: []}}}", "kind: List\nitems: {}", "kind: List\nitems: [a, [b], null]",
        "kind: Pod\nmetadata: {annotations: [nri-netdev.io/pod]}\nspec: {containers: [{name: a}]}",
        pod("other.example/key: [a]"), pod("nri-netdev.io.example/pod: '['"),
    ],
)  # fmt: skip
def test_what_is_not_ours_to_judge_is_passed_over(text: str) -> None:
    """Validation of Kubernetes' own grammar is not our work."""
    assert found(text) == []


def test_a_file_that_is_not_yaml_is_told_after_what_could_be_read() -> None:
    """With document and line."""
    assert found(pod("nri-netdev.io/pod: '[a, a]'") + "---\nx: [\n")[1:] == [
        "web.yaml:2:-:-: the file is not YAML: did not find expected node content (line 13)"
    ]
    assert found("a: 1\na: 2\n") == ['web.yaml:1:-:-: the file has the key "a" twice (first in line 1) (line 2)']
    assert found("a\0") == ["web.yaml:1:-:-: the file holds the character U+0000, which YAML does not allow (line 1)"]


def test_annotations_may_come_by_a_merge_key() -> None:
    """Anchors in a manifest hide nothing."""
    text = "x: &x {nri-netdev.io/pod: '[a b]'}\n" + pod("<<: *x")
    assert len(found(text)) == 1


def test_a_pod_without_end_is_read_in_part_and_says_so() -> None:
    """Checking is bounded, never silently."""
    containers = "[" + ", ".join(f"{{name: c{n}}}" for n in range(100)) + "]"
    [finding] = found(pod("nri-netdev.io/pod: '[a]'", containers=containers))
    assert "is checked for the first 64 containers of the pod only" in finding


SHARED = "pods:\n" + "- {metadata: {annotations: *a}, spec: {containers: [{name: a}]}}\n" * 1500
"""Pods that have the same annotations by an alias."""


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "kind: List\nitems:\n" + "- &a {kind: List, items: [*a]}\n" * 3,
        "x: &x [a]\n" + "".join(f"x{n}: &x{n} [*x{n - 1 if n else ''}, *x]\n" for n in range(50)),
        pod("\n".join(f"nri-netdev.io/container.x{n}: '[a b]'" for n in range(2000))),
        pod("nri-netdev.io/pod: '" + "[" * 200_000 + "'", containers="[" + "{name: a}, " * 50_000 + "]"),
        f"a: &a {{{', '.join(f'nri-netdev.io/container.x{n}: x' for n in range(2000))}}}\n{SHARED}",
        f"a: &a {{{', '.join(f'x{n}: x' for n in range(20_000))}}}\n{SHARED}",
        f"a: &a {{nri-netdev.io/pod: '[{'a, ' * 4000}]'}}\n{SHARED}",
        "- {nri-netdev.io/pod: '[a]'}\n" * 20_000,
        "annotations: {" + ", ".join(f"nri-netdev{n}: x" for n in range(20_000)) + "}",
    ],
    ids=[
        "brackets",
        "lists of themselves",
        "laughs",
        "strays",
        "containers",
        "shared annotations",
        "shared annotations of others",
        "shared values",
        "keys without a pod",
        "nearly ours",
    ],
)
def test_a_hostile_file_costs_little(text: str) -> None:
    """A change from a stranger can be checked by a build."""
    assert all(isinstance(finding, Finding) for finding in validate_text("x", text))
    assert calls_of(lambda: validate_text("x", text)) < 9_000_000


def test_a_file_without_end_is_told_in_part_and_says_so() -> None:
    """Whether it has more mistakes than anybody reads, or more to read than a build should wait for."""
    findings = validate_text("x", "- {nri-netdev.io/pod: '[a]'}\n" * 2000)
    assert len(findings) == MOST_FINDINGS + 1
    assert str(findings[-1]) == "x:1:-:-: 1000 findings are told, and there are more; correct these first"
    value = "[" + ", ".join(f"a{n}" for n in range(60)) + "]" + " " * 200_000
    [finding] = validate_text("x", f"a: &a {{nri-netdev.io/pod: '{value}'}}\n{SHARED}")
    assert str(finding) == "x:1:-:-: its pods have more annotations in all than are checked; split the file"


@given(
    st.text(alphabet="ab:-[]{}&*<\n '\"|,kindPodspec")
    | st.text().map(lambda text: pod("nri-netdev.io/pod: " + json.dumps(text)))
    | st.text().map(lambda text: pod(json.dumps(f"nri-netdev.io/{text}") + ": '[a]'"))
)
def test_any_text_gives_findings_of_one_printable_line(text: str) -> None:
    """Never an exception, never a line that its author could forge."""
    for finding in validate_text("web.yaml", text):
        assert str(finding).isprintable()
