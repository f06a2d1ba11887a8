"""Who may take what, as a table that an operator can read: this policy, this pod, this request, this answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nri_netdev.config import settings
from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.claim import Claim, Netns, Owner, State
from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.rules import LabelSelector, Operator, Policy, Requirement
from nri_netdev.domain.policy.selectors import Facts
from nri_netdev.domain.problem import Problem, summary
from nri_netdev.domain.routing import SourceRoute
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import Held, NodeState, PodNetns
from nri_netdev.domain.verdict.outcome import Grant

KEY = "nri-netdev.io/container.app"
DOWN = Link(ifindex=3, ifname="ens1", driver="ice")
UP = replace(DOWN, is_up=True, has_carrier=True)
LINKS = (
    replace(UP, ifindex=2, ifname="uplink0"),
    DOWN,
    replace(UP, ifindex=4, ifname="ens2"),
    replace(UP, ifindex=5, ifname="ens10"),
    replace(UP, ifindex=6, ifname="slow0", driver="e1000", mac="02:00:5e:10:00:06"),
    replace(UP, ifindex=7, ifname="br0", kind="bridge", driver=None),
    replace(UP, ifindex=8, ifname="port0", driver="e1000", master=7),
)
NODE = Inventory(links=LINKS, default_routes=frozenset({2}))
POD = PodSandbox(id="p1", namespace="tenant-a", name="web", labels={"app": "web", "tier": "front"})
POOLS = "pools:\n  fast: [{driver: ice}]\n  slow: [slow0, port0]\n"


def policy_of(text: str) -> Policy:
    """The policy in a configuration file."""
    values, problems = settings.read(text, source="config.yaml")
    assert not problems, problems
    return settings.settings_of(values).policy


def entries_of(value: str) -> tuple[Entry, ...]:
    """What an annotation of the container `app` asks."""
    parsed = parse({KEY: value}, container="app")
    assert not parsed.problems, summary(parsed.problems)
    return parsed.entries


def claim_on(ifname: str, *, pod_id: str = "p9", since_s: int = 0, state: State = State.HELD) -> Claim:
    """A claim on an interface of the node, by a container of a pod."""
    link = next((link for link in LINKS if link.ifname == ifname), Link(ifindex=50, ifname=ifname, driver="ice"))
    owner = Owner(
        scope=Scope.CONTAINER,
        pod_id=pod_id,
        pod_uid="u",
        namespace="tenant-b",
        pod="db",
        container_id="c9",
        container="main",
    )
    return Claim(
        mark=f"nri-netdev-{ifname}",
        owner=owner,
        key=KEY,
        inside=ifname,
        netns=Netns(path="/run/netns/x", dev=4, ino=1),
        snapshot=Snapshot(link=link),
        since_s=since_s,
        boot_id="b",
        state=state,
    )


def answer(
    policy: Policy | str | None,
    request: str | Sequence[Entry],
    *,
    pod: PodSandbox = POD,
    claims: Iterable[Claim] = (),
    inventory: Inventory = NODE,
    names: Iterable[str] = ("lo", "eth0"),
) -> tuple[tuple[Grant, ...], tuple[Problem, ...]]:
    """The verdict on this node."""
    claims = tuple(claims)
    away = {claim.ifname for claim in claims}
    node = NodeState(
        inventory=replace(inventory, links=tuple(link for link in inventory.links if link.ifname not in away)),
        policy=policy_of(policy) if isinstance(policy, str) else policy,
        held=tuple(map(Held.of, claims)),
        at_s=60,
        facts_of=lambda link: Facts(),
    )
    asked = entries_of(request) if isinstance(request, str) else request
    return judge(asked, node, netns=PodNetns(names=frozenset(names)), pod=pod)


def given_to(*args: object, **more: object) -> list[str]:
    """What is given, as `interface>name inside`."""
    grants, problems = answer(*args, **more)  # type: ignore[arg-type]
    assert not problems, summary(problems)
    return [f"{grant.link.ifname}>{grant.entry.inside}" for grant in grants]


def refused(*args: object, **more: object) -> str:
    """What the pod's author reads, less the place."""
    grants, problems = answer(*args, **more)  # type: ignore[arg-type]
    assert problems
    assert grants == ()
    return summary([replace(problem, entry=None, key="K") for problem in problems]).replace(" (annotation K)", "")


TEAM_A = "rules:\n- {namespaces: [tenant-a], interfaces: [ens*]}\n"


@pytest.mark.parametrize(
    ("policy", "request_", "given"),
    [
        (TEAM_A, "[ens1]", ["ens1>ens1"]),
        (TEAM_A, "[{interface: ens1, name: net1}, ens2]", ["ens1>net1", "ens2>ens2"]),
        (TEAM_A, "[{interface: ens*, count: 2}]", ["ens2>ens2", "ens10>ens10"]),
        (TEAM_A, "[{interface: ens*, count: 3, name: 'net{n}'}]", ["ens2>net0", "ens10>net1", "ens1>net2"]),
        (TEAM_A, "[{driver: ice, state: down}]", ["ens1>ens1"]),
        (TEAM_A, "[{interface: ens1, driver: ice}]", ["ens1>ens1"]),
        (
            f"{POOLS}rules:\n- {{namespaces: ['*'], pools: [fast]}}\n",
            "[{pool: fast, count: 2, name: '{pool}{n}'}]",
            ["ens2>fast0", "ens10>fast1"],
        ),
        (f"{POOLS}rules:\n- {{namespaces: ['*'], pools: [fast]}}\n", "[ens10]", ["ens10>ens10"]),
        (f"{POOLS}rules:\n- {{namespaces: ['*'], pools: [fast]}}\n", "[{pool: fast}, ens2]", ["ens10>ens10", "ens2>ens2"]),
        (f"{POOLS}rules:\n- {{namespaces: ['*'], interfaces: ['*']}}\n", "[{pool: fast, state: down}]", ["ens1>ens1"]),
        (
            f"{POOLS}rules:\n- {{namespaces: ['*'], interfaces: [ens1, ens2]}}\n",
            "[{pool: fast, count: 2}]",
            ["ens2>ens2", "ens1>ens1"],
        ),
        ("rules:\n- {namespaces: [t*-a], interfaces: [{mac: '02:00:5E:10:00:06'}], names: [n*]}\n", "[{interface: slow0, name: net0}]", ["slow0>net0"]),
        ("rules:\n- {namespaces: [tenant-a], pods: {matchLabels: {app: web}}, interfaces: [ens1]}\n", "[ens1]", ["ens1>ens1"]),
        ("rules:\n- {namespaces: [tenant-a], runtime_handlers: [default, kata], interfaces: [ens1]}\n", "[ens1]", ["ens1>ens1"]),
        ("rules:\n- {namespaces: [x], interfaces: ['*']}\n- {namespaces: [tenant-a], interfaces: [ens1]}\n", "[ens1]", ["ens1>ens1"]),
        (
            "rules:\n- {namespaces: [tenant-a], interfaces: [uplink0, port0], allow_protected: true}\n",
            "[uplink0, port0]",
            ["uplink0>uplink0", "port0>port0"],
        ),
        (
            f"{POOLS}rules:\n- {{namespaces: [tenant-a], pools: [slow], interfaces: [port0], allow_protected: true}}\n",
            "[{pool: slow, count: 2}]",
            ["port0>port0", "slow0>slow0"],
        ),
        (f"protected: [ens2]\n{TEAM_A}", "[{interface: ens*, count: 2}]", ["ens10>ens10", "ens1>ens1"]),
        (None, "[ens1]", ["ens1>ens1"]),
        (None, "[{driver: ice}]", ["ens2>ens2"]),
    ],
)  # fmt: skip
def test_what_a_rule_gives(policy: str | None, request_: str, given: list[str]) -> None:
    """The first rule that speaks of pod and interface gives it, however it is asked for."""
    assert given_to(policy, request_) == given


@pytest.mark.parametrize(
    ("policy", "request_", "told"),
    [
        (
            "{}",
            "[ens1, ens2]",
            ('no rule of this node gives interface "ens1" to namespace "tenant-a"; '
            'no rule of this node gives interface "ens2" to namespace "tenant-a". '
            "A rule that would: {namespaces: [tenant-a], interfaces: [ens1, ens2]}."),
        ),
        (
            POOLS,
            "[{pool: fast, count: 2}, slow0]",
            ('no rule of this node gives pool "fast" to namespace "tenant-a"; '
            'no rule of this node gives interface "slow0" to namespace "tenant-a". '
            "A rule that would: {namespaces: [tenant-a], interfaces: [slow0], pools: [fast], count: 3}."),
        ),
        (
            "rules:\n- {namespaces: [other], interfaces: ['*']}\n",
            "[{driver: ice}]",
            ('no rule of this node gives what is asked for, {driver: ice}, to namespace "tenant-a". '
            "A rule that would: {namespaces: [tenant-a], interfaces: [{driver: ice}], count: 1}."),
        ),
        (
            "rules:\n- {namespaces: [tenant-a], interfaces: ['*'], count: 0}\n- {namespaces: ['*'], interfaces: ['*']}\n",
            "[ens1]",
            "rule 1 refuses it",
        ),
        (
            "rules:\n- {name: team a, namespaces: [tenant-a], interfaces: [ens*], count: 2}\n",
            "[{interface: ens*, count: 3}]",
            ('what is asked for, \'ens*\', has 2 of the 3 interfaces for this pod: '
            'ens1: rule "team a" gives a pod 2 at most'),
        ),
        (
            "rules:\n- {namespaces: [tenant-a], interfaces: [ens*], names: [net*, ens1]}\n",
            "[ens1, ens2, {interface: ens10, name: eth1}]",
            ("rule 1 gives interfaces under the names 'net*', ens1 only, not \"ens2\"; "
            "rule 1 gives interfaces under the names 'net*', ens1 only, not \"eth1\""),
        ),
        (
            "rules:\n- {namespaces: [tenant-a], pods: {matchLabels: {app: db}}, interfaces: [ens1]}\n",
            "[ens1]",
            ('no rule of this node gives interface "ens1" to namespace "tenant-a". '
            "A rule that would: {namespaces: [tenant-a], interfaces: [ens1]}."),
        ),
        (
            "rules:\n- {namespaces: ['*'], interfaces: ['*']}\n",
            "[uplink0, port0, br0]",
            ('interface "uplink0" carries a default route of the node; rule 1 does not name it with allow_protected: true; '
            'interface "port0" is enslaved to bridge br0; release it first; rule 1 does not name it with allow_protected: true; '
            'interface "br0" is a bridge that the kernel never lets leave its network namespace'),
        ),
        (
            "rules:\n- {namespaces: ['*'], interfaces: ['*', ens1], allow_protected: true}\n",
            "[uplink0]",
            'interface "uplink0" carries a default route of the node; rule 1 does not name it with allow_protected: true',
        ),
        (
            "{}",
            "[uplink0]",
            'interface "uplink0" carries a default route of the node; no rule of this node names it with allow_protected: true',
        ),
        (
            f"protected: [ens*]\n{TEAM_A}",
            "[ens1]",
            'interface "ens1" is protected by the configuration (protected, 1); rule 1 does not name it with allow_protected: true',
        ),
        (
            f"{POOLS}{TEAM_A}",
            "[{pool: fats}]",
            'the pool "fats" is not defined on this node (annotation K, field pool). Defined: fast, slow.',
        ),
        (
            f"{POOLS}rules:\n- {{namespaces: ['*'], pools: [slow]}}\n",
            "[{pool: slow, count: 2}]",
            ('pool "slow" has 1 of the 2 interfaces for this pod: port0 is enslaved to bridge br0; release it first; '
            "rule 1 does not name it with allow_protected: true"),
        ),
        (TEAM_A, "[{interface: ens1, driver: e1000}]", 'interface "ens1" is not {driver: e1000}'),
        (f"{POOLS}{TEAM_A}", "[{interface: ens1, pool: slow}]", 'interface "ens1" is not in the pool "slow"'),
        (TEAM_A, "[{driver: tulip}]", "what is asked for, {driver: tulip}, has no interface for this pod"),
        (TEAM_A, "[ens9]", 'interface "ens9" is not on this node. Present and free: ens1, ens2, ens10.'),
        (
            "rules:\n- {namespaces: [tenant-a], interfaces: [ens*], count: 1}\n",
            "[ens1, ens2]",
            "rule 1 gives a pod 1 at most, and this would be 2 of them; rule 1 gives a pod 1 at most, and this would be 2 of them",
        ),
        (
            TEAM_A,
            "[{interface: ens2, name: ens10}, {interface: '*10'}]",
            'the name "ens10" is wanted twice, also for "ens2"',
        ),
        (None, "[{pool: fast}]", 'the pool "fast" is not defined on this node (annotation K, field pool)'),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(policy: str | None, request_: str, told: str) -> None:
    """In words for the pod's author, or, where a rule is missing, for the operator."""
    assert refused(policy, request_) == told


SOURCE_ROUTES = (
    SourceRoute(table=102, leaves_by=frozenset({4}), sources=("192.0.2.4/32",)),
    SourceRoute(table=103, leaves_by=frozenset({2, 8})),
)
SOURCE_ROUTED = replace(
    NODE,
    addresses={4: (Address(family=2, address="192.0.2.4", prefixlen=24),)},
    source_routes=SOURCE_ROUTES,
)
"""ens2 has one of its own; uplink0 and port0 are lifelines besides."""


@pytest.mark.parametrize(
    ("rule", "request_", "given", "told"),
    [
        ("interfaces: ['ens2*'], allow_source_routed: true", "[ens2]", ["ens2>ens2"], ""),
        ("pools: [fast], allow_source_routed: true", "[{pool: fast}]", ["ens2>ens2"], ""),
        ("interfaces: [{driver: ice}], allow_source_routed: true", "[{driver: ice, state: up}]", ["ens2>ens2"], ""),
        ("interfaces: [ens2], allow_protected: true", "[ens2]", ["ens2>ens2"], ""),
        ("pools: [fast]", "[{pool: fast}]", ["ens10>ens10"], ""),
        (
            "interfaces: ['ens2*']",
            "[ens2]",
            [],
            (
                'interface "ens2" carries a default route of table 102, which only rules with `from` reach; rule 1 does not '
                "give it with allow_source_routed: true"
            ),
        ),
        (
            "interfaces: [ens1], allow_source_routed: true",
            "[ens2]",
            [],
            (
                'interface "ens2" carries a default route of table 102, which only rules with `from` reach; no rule of this '
                "node gives it with allow_source_routed: true"
            ),
        ),
        (
            "interfaces: ['*'], allow_source_routed: true",
            "[uplink0, port0]",
            [],
            (
                'interface "uplink0" carries a default route of the node; rule 1 does not name it with allow_protected: true; '
                'interface "port0" is enslaved to bridge br0; release it first; rule 1 does not name it with allow_protected: '
                "true"
            ),
        ),
    ],
)
def test_source_routes_are_allowed_without_a_name(rule: str, request_: str, given: list[str], told: str) -> None:
    """By whatever way the rule covers the interface; nothing else that makes a lifeline is."""
    policy = f"{POOLS}rules: [{{namespaces: ['*'], {rule}}}]"
    if told:
        assert refused(policy, request_, inventory=SOURCE_ROUTED) == told
    else:
        assert given_to(policy, request_, inventory=SOURCE_ROUTED) == given


def test_a_pool_that_is_exhausted_says_who_has_it() -> None:
    """Each member with its holder, and what else stands in the way."""
    policy = f"{POOLS}rules:\n- {{namespaces: ['*'], pools: [fast]}}\n"
    claims = [claim_on("ens1"), claim_on("ens2", state=State.RETURNING), claim_on("ens10", since_s=30)]
    assert refused(policy, "[{pool: fast}]", claims=claims) == (
        'pool "fast" has no interface for this pod: '
        "uplink0 carries a default route of the node; rule 1 does not name it with allow_protected: true; "
        'interface "ens2" is being returned from pod tenant-b/db, container main (returning); retry, or see `nri-netdev claims`; '
        'interface "ens10" is held by pod tenant-b/db, container main for 30 s; '
        'interface "ens1" is held by pod tenant-b/db, container main for 1 min'
    )


def test_what_a_pod_may_not_have_it_does_not_hear_of() -> None:
    """Who holds an interface is told only to those who might get it."""
    told = refused("{}", "[ens1]", claims=[claim_on("ens1")])
    assert told.startswith('no rule of this node gives interface "ens1" to namespace "tenant-a"')
    assert "tenant-b" not in told


@pytest.mark.parametrize(
    ("held", "request_", "fits"),
    [
        ([], "[ens1, ens2]", True),
        ([], "[ens1, ens2, ens10]", False),
        (["ens10"], "[ens1]", True),
        (["ens10"], "[ens1, ens2]", False),
        (["ens10"], "[{interface: ens*, count: 2}]", False),
        (["slow0"], "[ens1, ens2]", True),
        (["ens10"], "[ens1, {interface: slow0}]", True),
    ],
)
def test_a_rules_count_is_for_the_whole_pod(held: list[str], request_: str, *, fits: bool) -> None:
    """What its other containers hold by the same rule counts; what another rule gave, and other pods, do not."""
    policy = (
        "rules:\n- {namespaces: [tenant-a], interfaces: [ens*], count: 2}\n"
        "- {namespaces: [tenant-a], interfaces: [slow0]}\n"
    )
    claims = [claim_on(ifname, pod_id=POD.id) for ifname in held]
    others = [claim_on("ens77", pod_id="p7"), claim_on("ens78", pod_id=POD.id, state=State.RETURNING)]
    grants, problems = answer(policy, request_, claims=[*claims, *others])
    assert bool(grants) is fits is not bool(problems)


def test_numbers_are_free_in_the_pod() -> None:
    """A pattern takes the lowest number whose name nobody has."""
    assert given_to(
        TEAM_A, "[{interface: 'ens*', count: 2, name: 'eth{n}'}, {interface: ens1, name: eth1}]", names=["lo", "eth0"]
    ) == ["ens2>eth2", "ens10>eth3", "ens1>eth1"]


@pytest.mark.parametrize(
    ("selector", "labels", "met"),
    [
        (LabelSelector(), {}, True),
        (LabelSelector(match_labels={"a": "1"}), {"a": "1", "b": "2"}, True),
        (LabelSelector(match_labels={"a": "1", "b": "2"}), {"a": "1"}, False),
        (Requirement(key="a", operator=Operator.IN, values=("1", "2")), {"a": "2"}, True),
        (Requirement(key="a", operator=Operator.IN, values=("1", "2")), {}, False),
        (Requirement(key="a", operator=Operator.NOT_IN, values=("1",)), {"a": "1"}, False),
        (Requirement(key="a", operator=Operator.NOT_IN, values=("1",)), {}, True),
        (Requirement(key="a", operator=Operator.EXISTS), {"a": ""}, True),
        (Requirement(key="a", operator=Operator.EXISTS), {}, False),
        (Requirement(key="a", operator=Operator.DOES_NOT_EXIST), {"a": ""}, False),
        (Requirement(key="a", operator=Operator.DOES_NOT_EXIST), {}, True),
    ],
)
def test_labels_are_held_against_as_in_kubernetes(
    selector: LabelSelector | Requirement, labels: Mapping[str, str], *, met: bool
) -> None:
    """`matchLabels` and each operator of `matchExpressions`."""
    if isinstance(selector, Requirement):
        selector = LabelSelector(match_expressions=(selector,))
    assert selector.is_met(labels) is met


# -- whatever the policy, the node and the request ---------------------------------------------------------------------

NAMES = ["ens1", "ens2", "ens10", "slow0", "uplink0", "port0", "br0", "ens9"]
GLOBS = ["*", "ens*", "ens1?", "s*", "?plink0"]
SELECTORS = st.sampled_from([*NAMES, *GLOBS, "{driver: ice}", "{state: up}", "{driver: e1000, state: up}"])


@st.composite
def policies(draw: st.DrawFn) -> str:
    """A configuration's policy."""
    lines = [f"protected: [{', '.join(map(_quoted, draw(st.lists(SELECTORS, max_size=1))))}]", "pools:"]
    lines += [f"  {pool}: [{', '.join(map(_quoted, draw(_some(SELECTORS))))}]" for pool in ("fast", "slow")]
    lines.append("rules:")
    for _ in range(draw(st.integers(0, 4))):
        interfaces = draw(_some(SELECTORS))
        parts = [
            f"namespaces: [{_quoted(draw(st.sampled_from(['*', 'tenant-*', 'tenant-b'])))}]",
            f"interfaces: [{', '.join(map(_quoted, interfaces))}]",
        ]
        if draw(st.booleans()):
            parts.append(f"pools: [{draw(st.sampled_from(['fast', 'slow']))}]")
        if draw(st.booleans()):
            parts.append(f"count: {draw(st.integers(0, 3))}")
        if set(interfaces) & set(NAMES) and draw(st.booleans()):
            parts.append("allow_protected: true")
        lines.append(f"- {{{', '.join(parts)}}}")
    return "\n".join(lines if lines[-1] != "rules:" else lines[:-1])


def _quoted(text: str) -> str:
    return text if text.startswith("{") else f"'{text}'"


def _some(items: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(items, min_size=1, max_size=3)


ASKED = st.lists(
    st.sampled_from(NAMES)
    | st.sampled_from(["{interface: 'ens*', count: 2}", "{driver: e1000}", "{state: down}"])
    | st.sampled_from(["{pool: fast}", "{pool: fast, count: 2}", "{pool: slow}", "{pool: slow, state: up}"]),
    min_size=1,
    max_size=4,
)
HELD = st.sets(st.sampled_from(["ens1", "ens2", "slow0"]), max_size=2)
VITAL = frozenset({"uplink0", "port0", "br0"})


def request_of(asked: Sequence[str]) -> tuple[Entry, ...]:
    """The entries, where they can be asked for together at all."""
    parsed = parse({KEY: f"[{', '.join(asked)}]"}, container="app")
    assume(not parsed.problems)
    return parsed.entries


@given(policies(), ASKED, HELD)
def test_nothing_is_given_but_by_a_rule(text: str, asked: list[str], held: set[str]) -> None:
    """Each grant has the first rule that speaks of it; a lifeline one that names it; none beyond the rule's count."""
    policy = policy_of(text)
    grants, _ = answer(policy, request_of(asked), claims=[claim_on(name, pod_id=POD.id) for name in sorted(held)])
    counts = Counter(grant.rule.number for grant in grants if grant.rule)
    for grant in grants:
        rule = grant.rule
        assert rule is not None
        assert rule.why_not_for(POD) is None
        if grant.link.ifname in VITAL:
            named = {one.interface for one in rule.interfaces}
            assert rule.allow_protected
            assert grant.link.ifname in named
            assert grant.link.ifname != "br0"
        assert rule.count is None or counts[rule.number] <= rule.count
    names = [grant.link.ifname for grant in grants]
    assert len(set(names)) == len(names)
    assert not held & set(names)


@given(policies(), ASKED, st.randoms(use_true_random=False))
def test_the_order_of_entries_changes_nothing(text: str, asked: list[str], random: object) -> None:
    """The same entries in another order get the same interfaces, or are refused as well."""
    policy = policy_of(text)
    entries = request_of(asked)
    shuffled = list(asked)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, _ = answer(policy, entries)
    second, _ = answer(policy, request_of(shuffled))
    assert {grant.link.ifname for grant in first} == {grant.link.ifname for grant in second}


@given(policies(), ASKED)
def test_asking_twice_gets_nothing_that_asking_once_could_not(text: str, asked: list[str]) -> None:
    """Entries that are repeated get only what a rule gives anyway, within its count, or nothing at all."""
    policy = policy_of(text)
    parsed = parse({KEY: f"[{', '.join(asked * 2)}]"}, container="app")
    grants, _ = answer(policy, parsed.entries) if parsed.entries else ((), ())
    for grant in grants:
        alone, problems = answer(
            policy,
            [Entry(interface=grant.link.ifname, key=KEY, number=1, scope=Scope.CONTAINER, grammar=grant.entry.grammar)],
        )
        assert not problems
        assert [one.link for one in alone] == [grant.link]


@given(policies(), ASKED)
def test_the_rule_that_is_quoted_gives_exactly_that(text: str, asked: list[str]) -> None:
    """Appended to the rules it lets the request pass, as far as nothing else stands in the way; and only for what is asked."""
    policy = policy_of(text)
    entries = request_of(asked)
    _, problems = answer(policy, entries)
    hints = {problem.hint for problem in problems if problem.hint.startswith("A rule that would: ")}
    assume(hints and all(problem.hint in hints for problem in problems))
    [hint] = hints
    rules = "" if "\nrules:" in text else "\nrules:"
    amended = f"{text}{rules}\n- {hint.removeprefix('A rule that would: ')}\n"
    _, left = answer(policy_of(amended), entries)
    assert not [problem for problem in left if problem.hint.startswith("A rule")]
    stranger = replace(POD, namespace="elsewhere")
    before, after = answer(policy, entries, pod=stranger), answer(policy_of(amended), entries, pod=stranger)
    assert [grant.link for grant in before[0]] == [grant.link for grant in after[0]]


@given(ASKED)
def test_without_a_rule_nobody_gets_anything(asked: list[str]) -> None:
    """An empty policy is a policy."""
    grants, problems = answer(Policy(), request_of(asked))
    assert not grants
    assert problems
