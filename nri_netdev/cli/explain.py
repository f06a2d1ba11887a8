"""`nri-netdev explain`: what would happen to a pod's annotations on this node now, by which rule, and what suffers."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace

from nri_netdev.cli.inputs import read_file, read_settings
from nri_netdev.cli.node_state import read_node_state
from nri_netdev.cli.shown import explained
from nri_netdev.config.settings import Settings
from nri_netdev.domain.annotations.manifest import pods_in
from nri_netdev.domain.claim import Netns
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.text.yaml_nodes import YamlError
from nri_netdev.domain.verdict.explain import Explanation, explain_pod
from nri_netdev.domain.verdict.node import NodeState, PodNetns
from nri_netdev.errors import ConfigurationError, KernelError, NriNetdevError
from nri_netdev.shells.engine.visit import visit
from nri_netdev.shells.kernel.netns import netns_id
from nri_netdev.shells.kernel.processes import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A pod that is to be explained."""

    title: str
    pod: PodSandbox
    containers: tuple[str, ...]
    is_host_network: bool
    processes: frozenset[str] = frozenset()
    """What the process of a running pod is called."""


def run(options: argparse.Namespace) -> int:
    """Print what would become of each entry; 0 if all would be given."""
    settings = read_settings(options)
    node = read_node_state(settings)
    explanations = [
        (one.title, explanation) for one in _asked(options, settings) for explanation in _explain(one, node)
    ]
    documents = [{"pod": title, **asdict(explanation)} for title, explanation in explanations]
    print(json.dumps(documents, indent=2) if options.json else explained(documents))
    return 0 if all(explanation.is_granted for _, explanation in explanations) else 1


def _explain(asked: _Asked, node: NodeState) -> tuple[Explanation, ...]:
    others = tuple(one for one in node.held if not asked.pod.id or one.owner.pod_id != asked.pod.id)
    names = frozenset({"lo", "eth0"})
    netns = PodNetns(is_host=asked.is_host_network, names=names, processes=asked.processes)
    return explain_pod(asked.pod, asked.containers, replace(node, held=others), netns=netns)


def _asked(options: argparse.Namespace, settings: Settings) -> list[_Asked]:
    """The pods, from manifests, or as the engine describes them."""
    if bool(options.files) == bool(options.pod):
        raise ConfigurationError("explain: name manifests, or say --pod NAMESPACE/NAME")
    if options.pod:
        return _running(options.pod, settings)
    found = []
    for name in options.files:
        try:
            pods = pods_in(read_file(name))
        except YamlError as error:
            raise ConfigurationError(f"{name}: {error}") from error
        found += [
            _Asked(
                title=f"{name}: {one.object}",
                pod=one.pod,
                containers=one.containers,
                is_host_network=one.is_host_network,
            )
            for one in pods
        ]
    return found


def _running(name: str, settings: Settings) -> list[_Asked]:
    try:
        engine = visit(settings.socket)
    except (OSError, TimeoutError) as error:
        raise NriNetdevError(f"no NRI at {settings.socket}: {error}; is the engine up, and NRI turned on?") from error
    pods = [pod for pod in engine.pods if f"{pod.namespace}/{pod.name}" == name]
    if not pods:
        raise NriNetdevError(f"the engine knows no pod {name}")
    return [
        _Asked(
            title=f"pod {name}",
            pod=pod,
            containers=tuple(container.name for container in engine.containers if container.pod_id == pod.id),
            is_host_network=pod.netns_path is None,
            processes=_processes(pod),
        )
        for pod in pods
    ]


def _processes(pod: PodSandbox) -> frozenset[str]:
    """What the process of a pod is called, if that can be read here."""
    try:
        dev, ino = netns_id(pod.netns_path or "")
    except KernelError:
        return frozenset()
    return Processes().names(pod.pid, Netns(path=pod.netns_path or "", dev=dev, ino=ino))
