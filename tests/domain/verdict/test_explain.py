"""What would happen to a pod on this node, told line by line, is what does happen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from nri_netdev.domain.annotations.manifest import pods_in
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.links import Address
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.verdict.explain import Explanation, explain_pod
from nri_netdev.domain.verdict.node import Held, NodeState, PodNetns
from tests.domain.policy.test_rules import NODE, claim_on, policy_of

POLICY = policy_of(
    "pools:\n  fast: [ens*]\n"
    "rules:\n- {name: others, namespaces: [other], interfaces: ['*']}\n"
    "- {namespaces: [tenant-a], pools: [fast], count: 2}\n"
)
ON_POD_NETWORK = PodNetns(names=frozenset({"lo", "eth0"}))
POD = PodSandbox(id="p1", namespace="tenant-a", name="web")


ON_HOST_NETWORK = (
    "the pod is on the host network, where every interface already is; remove hostNetwork: true or the annotation"
)


def explained(
    annotations: dict[str, str], *containers: str, claims: Iterable[Claim] = (), netns: PodNetns = ON_POD_NETWORK
) -> tuple[Explanation, ...]:
    """The explanation for a pod with these annotations."""
    pod = replace(POD, annotations=annotations)
    node = NodeState(inventory=NODE, policy=POLICY, held=tuple(map(Held.of, claims)), at_s=60)
    return explain_pod(pod, containers or ("app",), node, netns)


def test_each_entry_is_told_with_the_rules_that_it_meets() -> None:
    """Up to the rule that decides, and what it comes to."""
    told = explained({"nri-netdev.io/container.app": "[{pool: fast, name: 'net{n}'}, slow0, br0]"})
    assert [
        (one.asked.removeprefix("annotation nri-netdev.io/container.app, "), one.steps, one.verdict) for one in told
    ] == [
        (
            "entry 1: pool fast as net{n}",
            ('ens2: rule "others" is for namespaces other', "ens2: rule 2 decides"),
            "refused: would give ens2 as net0, if the other entries were right",
        ),
        (
            "entry 2: slow0",
            (
                'slow0: rule "others" is for namespaces other',
                "slow0: rule 2 does not speak of it",
                "slow0: no rule speaks of it",
            ),
            (
                'refused: no rule of this node gives interface "slow0" to namespace "tenant-a". '
                "A rule that would: {namespaces: [tenant-a], interfaces: [slow0]}"
            ),
        ),
        (
            "entry 3: br0",
            (
                'br0: rule "others" is for namespaces other',
                "br0: rule 2 does not speak of it",
                "br0: no rule speaks of it",
            ),
            'refused: interface "br0" is a bridge that the kernel never lets leave its network namespace',
        ),
    ]


def test_containers_come_one_after_another() -> None:
    """What one gets the next cannot, what the pod gets is given once, and the pod's count is for all of them."""
    annotations = {
        "nri-netdev.io/pod": "[ens1]",
        "nri-netdev.io/container.one": "[{pool: fast}]",
        "nri-netdev.io/container.two": "[ens2]",
        "nri-netdev.io/container.three": "[ens10]",
    }
    told = explained(annotations, "one", "two", "three")
    assert [(one.container, one.verdict) for one in told] == [
        ("one", "gives ens2 as ens2"),
        ("one", "gives ens1 as ens1"),
        ("two", 'refused: interface "ens2" is held by pod tenant-a/web, container one for 0 s'),
        ("three", "refused: rule 2 gives a pod 2 at most, and this would be 3 of them"),
    ]


def test_what_would_be_set_is_told() -> None:
    """Of what is given, and of what would be if the others were right; not of what is refused."""
    asked = "{{interface: {}, mtu: 9000, addresses: [192.0.2.10/24]}}"
    told = explained({"nri-netdev.io/container.app": f"[{asked.format('ens1')}, {asked.format('slow0')}]"})
    assert [one.sets for one in told] == [("addresses 192.0.2.10/24", "mtu 9000"), ()]
    [granted] = explained({"nri-netdev.io/pod": f"[{asked.format('ens1')}]"})
    assert granted.is_granted
    assert granted.sets == ("addresses 192.0.2.10/24", "mtu 9000")
    [plain] = explained({"nri-netdev.io/pod": "[ens1]"})
    assert plain.sets == ()


def test_what_is_shared_stays_for_the_next() -> None:
    """It does not leave the host, so nothing of it is left behind; who wants it whole does not get it."""
    policy = policy_of("rules: [{namespaces: ['*'], interfaces: ['*'], share: true}]")
    addresses = {4: (Address(family=2, address="192.0.2.6", prefixlen=24, valid_lft_s=60),)}
    node = NodeState(inventory=replace(NODE, addresses=addresses), policy=policy)
    annotations = {
        "nri-netdev.io/container.one": "[{interface: ens2, share: macvlan, name: a}]",
        "nri-netdev.io/container.two": "[{interface: ens2, share: macvlan, name: b}]",
        "nri-netdev.io/container.three": "[ens2]",
    }
    pod = replace(POD, annotations=annotations)
    told = explain_pod(pod, ("one", "two", "three"), node, ON_POD_NETWORK)
    assert [(one.verdict, one.sets) for one in told] == [
        ("gives ens2 as a", ("share macvlan in mode bridge",)),
        ("gives ens2 as b", ("share macvlan in mode bridge",)),
        ('refused: interface "ens2" is held by pod tenant-a/web, container two for 0 s', ()),
    ]
    assert [len(one.effects) for one in told] == [0, 0, 1]


def test_who_holds_it_now_is_told() -> None:
    """As the pod's author would read it."""
    [told] = explained({"nri-netdev.io/pod": "[ens1]"}, claims=[claim_on("ens1")])
    assert told.verdict == 'refused: interface "ens1" is held by pod tenant-b/db, container main for 1 min'
    assert not told.is_granted


@pytest.mark.parametrize(
    ("annotations", "netns", "verdicts"),
    [
        ({}, ON_POD_NETWORK, []),
        (
            {"nri-netdev.io/pod": "[ens1"},
            ON_POD_NETWORK,
            ["refused: the annotation is not YAML: did not find expected ',' or ']'"],
        ),
        (
            {"nri-netdev.io/pod": "[ens1]"},
            PodNetns(is_host=True),
            [f"refused: {ON_HOST_NETWORK}"],
        ),
    ],
)
def test_what_never_comes_to_a_rule_is_told_too(
    annotations: dict[str, str], netns: PodNetns, verdicts: list[str]
) -> None:
    """Nothing asked, nothing readable, the host's own network."""
    told = explained(annotations, netns=netns)
    assert [one.verdict for one in told] == verdicts


def test_a_guest_is_explained() -> None:
    """The handler that a manifest's runtime class is taken for, and what to do."""
    pod = replace(POD, annotations={"nri-netdev.io/pod": "[ens1]"}, runtime_handler="gvisor")
    [told] = explain_pod(pod, ("app",), NodeState(inventory=NODE, policy=POLICY), ON_POD_NETWORK)
    assert not told.is_granted
    assert told.verdict.startswith('refused: the runtime handler "gvisor" of the pod (it matches gvisor*')
    assert ". Use a runtime class of runc, crun or youki" in told.verdict


def test_pods_are_found_in_manifests() -> None:
    """As the engine would tell of them: namespace, labels, handler, annotations, containers in their order."""
    [found] = pods_in(
        "kind: Deployment\nmetadata: {name: web, namespace: team}\nspec:\n  template:\n    metadata:\n"
        "      labels: {app: web}\n      annotations: {nri-netdev.io/pod: '[ens1]', other: x}\n"
        "    spec:\n      runtimeClassName: kata\n      hostNetwork: true\n"
        "      initContainers: [{name: init}]\n      containers: [{name: app}]\n"
    )
    assert found.object == "Deployment team/web"
    assert found.pod == PodSandbox(
        id="",
        namespace="team",
        name="web",
        labels={"app": "web"},
        annotations={"nri-netdev.io/pod": "[ens1]"},
        runtime_handler="kata",
    )
    assert found.containers == ("init", "app")
    assert found.is_host_network


def test_a_manifest_without_a_namespace_is_for_the_default_one() -> None:
    """And what is no pod is passed over."""
    asking = "metadata: {annotations: {nri-netdev.io/pod: '[a]'}}"
    pods = pods_in(f"kind: Service\n---\nkind: Pod\n{asking}\nspec: {{containers: [{{name: a}}]}}\n")
    assert [(one.document, one.pod.namespace, one.pod.labels) for one in pods] == [(2, "default", {})]
