"""Checks the annotations in files of Kubernetes manifests as the daemon will read them, without a node.

Finds the pod template of every object that has one, reads its annotations for each of its containers with
`nri_netdev.domain.annotations.request`, and adds the problems that only the whole pod shows: a container that is not
there, an interface that two of its containers would hold at once, the host's network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from nri_netdev.domain.annotations.grammars import ALL_PREFIXES, ANNOTATION_PREFIX, CONTAINER_PREFIXES
from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import did_you_mean, escape, quote, quote_key

KEY_NAME_CHARS = 63
"""Longest part of an annotation key after its `/` (Kubernetes `IsQualifiedName`)."""

_CONTAINERS_READ = 64
"""Of a pod: more than known pods have; each is compared with each other."""

_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where the pod template of a kind is; of every other kind, Deployment to third parties' own, in `spec.template`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong in a file."""

    file: str
    document: int
    """From 1."""
    message: str
    annotation: str | None = None
    entry: int | None = None
    """From 1, within the annotation."""
    about: str = ""
    """Details of the place: object, line of the file, field."""

    def __str__(self) -> str:
        """`file:document:annotation:entry: message (about)`, with `-` for an annotation or an entry that is none."""
        key = "-" if self.annotation is None else escape(self.annotation)
        entry = "-" if self.entry is None else str(self.entry)
        about = f" ({self.about})" if self.about else ""
        return f"{self.file}:{self.document}:{key}:{entry}: {self.message}{about}"


def validate_text(name: str, text: str) -> tuple[Finding, ...]:
    """Check the text of one file: YAML or JSON, any number of documents, any kinds; objects without a pod are skipped.

    Args:
        name: the file's, for messages.
        text: its content.

    Returns:
        Findings in the order of the file; where the text cannot be read any further, that is the last one.
    """
    findings: list[Finding] = []
    document = 0
    try:
        for document, node in enumerate(yaml_nodes.load_all(text), 1):
            for template in _templates(node):
                findings.extend(_findings(name, document, template))
    except yaml_nodes.YamlError as error:
        about = f"line {error.line}" if error.line else ""
        findings.append(Finding(file=name, document=document + 1, message=f"the file {error.reason}", about=about))
    return tuple(findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPod:
    """A pod as a manifest describes it, before there is one."""

    document: int
    """From 1."""
    object: str
    """Kind, namespace and name of the object that it is in."""
    pod: PodSandbox
    """As an engine would describe it, without ids, and with the name of the RuntimeClass in place of its handler's."""
    containers: tuple[str, ...]
    """Init containers first."""
    is_host_network: bool


def pods_in(text: str) -> tuple[ManifestPod, ...]:
    """The pods, and templates of pods, in the text of a file of manifests.

    Raises:
        YamlError: It cannot be read.
    """
    return tuple(
        ManifestPod(
            document=document,
            object=template.object,
            pod=PodSandbox(
                id="",
                namespace=template.namespace or "default",
                name=template.name,
                annotations={
                    key: value.text
                    for key, (_, value) in template.annotations.items()
                    if isinstance(value, yaml_nodes.YamlScalar)
                },
                labels=template.labels,
                runtime_handler=template.runtime_class,
            ),
            containers=tuple(container.name for container in template.containers),
            is_host_network=template.is_host_network,
        )
        for document, node in enumerate(yaml_nodes.load_all(text), 1)
        for template in _templates(node)
    )


_Annotations: TypeAlias = Mapping[str, tuple[yaml_nodes.YamlScalar, yaml_nodes.Node]]
"""Those that concern us: each key with its own node, for the line, and the value's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Container:
    name: str
    is_init: bool = False
    is_sidecar: bool = False
    """An init container that restarts always, so it runs beside every later container."""
    place: int = 0
    """Among the init containers."""

    def meets(self, other: _Container) -> bool:
        """Whether both can run at the same time."""
        passing = [one for one in (self, other) if one.is_init and not one.is_sidecar]
        if not passing:
            return True
        stays = other if passing[0] is self else self
        return len(passing) == 1 and stays.is_sidecar and stays.place < passing[0].place


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """A pod or a pod template."""

    object: str
    """Kind, namespace and name of the object that it is in."""
    annotations: _Annotations
    outer: _Annotations
    """The annotations of the object around the template."""
    containers: tuple[_Container, ...]
    is_host_network: bool
    namespace: str = ""
    name: str = ""
    """Of the object."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The pod's."""
    runtime_class: str = ""


def _findings(file: str, document: int, template: _Template) -> Iterator[Finding]:
    for those, problems in (
        (template.outer, _misplaced(template)),
        (template.annotations, _problems(template)),
    ):
        for problem in dict.fromkeys(problems):
            about = (
                template.object,
                f"line {those[problem.key][0].line}",
                f"field {escape(problem.field)}" if problem.field else "",
                f"line {problem.line} of the value" if problem.line else "",
            )
            yield Finding(
                file=file,
                document=document,
                annotation=problem.key,
                entry=problem.entry,
                message=problem.message,
                about=", ".join(part for part in about if part),
            )


# -- finding the templates ---------------------------------------------------------------------------------------


def _templates(document: yaml_nodes.Node) -> Iterator[_Template]:
    if not isinstance(document, yaml_nodes.YamlMapping):
        return
    items = document.get("items")
    # Kubernetes nests no list in a list, and following one would let anchors multiply.
    is_list = _text(document.get("kind")).endswith("List") and isinstance(items, yaml_nodes.YamlList)
    for node in items.items if is_list and isinstance(items, yaml_nodes.YamlList) else (document,):
        if isinstance(node, yaml_nodes.YamlMapping) and (template := _template(node)):
            yield template


def _template(node: yaml_nodes.YamlMapping) -> _Template | None:
    kind = _text(node.get("kind"))
    template = node.at(*_TEMPLATES.get(kind, ("spec", "template")))
    if not isinstance(template, yaml_nodes.YamlMapping):
        return None
    spec = template.get("spec")
    if not isinstance(spec, yaml_nodes.YamlMapping) or not isinstance(spec.get("containers"), yaml_nodes.YamlList):
        return None
    names = [_text(node.at("metadata", key)) for key in ("namespace", "name")]
    host_network, labels = spec.get("hostNetwork"), template.at("metadata", "labels")
    return _Template(
        object=escape(f"{kind or 'object'} {'/'.join(name for name in names if name)}".rstrip()),
        annotations=_annotations(template),
        outer={} if template is node else _annotations(node),
        containers=tuple(_containers(spec)),
        is_host_network=isinstance(host_network, yaml_nodes.YamlScalar) and host_network.is_true,
        namespace=names[0],
        name=names[1],
        labels={key.text: _text(value) for key, value in labels.pairs}
        if isinstance(labels, yaml_nodes.YamlMapping)
        else {},
        runtime_class=_text(spec.get("runtimeClassName")),
    )


def _containers(spec: yaml_nodes.YamlMapping) -> Iterator[_Container]:
    for group in ("initContainers", "containers"):
        nodes = spec.get(group)
        for place, node in enumerate(nodes.items if isinstance(nodes, yaml_nodes.YamlList) else ()):
            if isinstance(node, yaml_nodes.YamlMapping) and (name := _text(node.get("name"))):
                is_init = group == "initContainers"
                is_sidecar = is_init and _text(node.get("restartPolicy")) == "Always"
                yield _Container(name=name, is_init=is_init, is_sidecar=is_sidecar, place=place)


def _annotations(node: yaml_nodes.YamlMapping) -> _Annotations:
    annotations = node.at("metadata", "annotations")
    pairs = annotations.pairs if isinstance(annotations, yaml_nodes.YamlMapping) else ()
    return {key.text: (key, value) for key, value in pairs if key.text.partition("/")[0] in ALL_PREFIXES}


def _text(node: yaml_nodes.Node | None) -> str:
    return node.text if isinstance(node, yaml_nodes.YamlScalar) and not node.is_null else ""


# -- judging one -------------------------------------------------------------------------------------------------


def _misplaced(template: _Template) -> Iterator[Problem]:
    for key in template.outer:
        message = (
            "stands beside the pod template and does nothing there; move it to the template's metadata.annotations"
        )
        yield Problem(key=key, message=message)


def _problems(template: _Template) -> Iterator[Problem]:
    texts: dict[str, str] = {}
    for key, (_, value) in template.annotations.items():
        yield from _key_problems(key, template)
        if isinstance(value, yaml_nodes.YamlScalar):
            texts[key] = "" if value.is_null else value.text
        else:
            kind = yaml_nodes.kind_of(value)
            yield Problem(key=key, message=f"the value must be a text, not {kind}; write | and the list below it")
    yield from _reading_problems(template, texts)


def _key_problems(key: str, template: _Template) -> Iterator[Problem]:
    if template.is_host_network:
        message = "the pod is on the host network, where every interface already is; remove hostNetwork: true or "
        yield Problem(key=key, message=message + "the annotation")
    prefix, _, name = key.partition("/")
    if len(name) > KEY_NAME_CHARS:
        message = f"the part after / has {len(name)} characters, and Kubernetes takes {KEY_NAME_CHARS}; "
        yield Problem(key=key, message=message + "shorten the container's name, or ask for the pod")
    container = _container_of(key)
    names = [container.name for container in template.containers]
    if container is not None and container not in names:
        meant = did_you_mean(container, {name.lower(): name for name in names})
        yield Problem(key=key, message=f"the pod has no container {quote(container)}{meant}")
    if container is None and prefix != ANNOTATION_PREFIX and name not in {"", "pod"}:
        yield Problem(key=key, message="unknown annotation key, which is ignored")


def _container_of(key: str) -> str | None:
    prefix = next((prefix for prefix in CONTAINER_PREFIXES if key.startswith(prefix)), None)
    return None if prefix is None else key.removeprefix(prefix)


def _reading_problems(template: _Template, texts: Mapping[str, str]) -> Iterator[Problem]:
    """Problems in the values. Pod-level values are read again for each container."""
    containers = template.containers[:_CONTAINERS_READ]
    for key in list(texts)[:1] if len(template.containers) > len(containers) else ():
        yield Problem(key=key, message=f"is checked for the first {_CONTAINERS_READ} containers of the pod only")
    asked: list[tuple[_Container, tuple[Entry, ...]]] = []
    for container in containers:
        parsed = parse(texts, container=container.name)
        yield from parsed.problems
        asked.append((container, parsed.entries))
    names = {container.name for container in template.containers}
    for key, text in texts.items():
        stray = _container_of(key)
        if stray is not None and stray not in names:
            yield from parse({key: text}, container=stray).problems
    for place, (container, entries) in enumerate(asked):
        for earlier, others in asked[:place]:
            meets = container.meets(earlier)
            # What an earlier container got for the pod stays, even if that container itself is gone.
            staying = [entry for entry in others if meets or entry.scope is Scope.POD]
            yield from _clashes(entries, staying, earlier)


def _clashes(entries: Iterable[Entry], others: Iterable[Entry], other: _Container) -> Iterator[Problem]:
    """Interfaces and names that two containers of a pod, in one network namespace, cannot both have."""
    interfaces = {entry.interface: entry for entry in others if entry.interface}
    names = {entry.fixed_inside: entry for entry in others if entry.fixed_inside}
    for entry in entries:
        same, alike = interfaces.get(entry.interface), names.get(entry.inside)
        if same is not None and not _is_shared(entry, same):
            message = f"interface {quote(entry.interface)} is asked for by container {quote(other.name)} too"
            yield Problem(key=entry.key, entry=entry.number, message=f"{message}, {_place(same)}")
        elif alike is not None and not _is_shared(entry, alike):
            message = f"the name {quote(entry.inside)} is wanted by container {quote(other.name)} too"
            yield Problem(key=entry.key, entry=entry.number, message=f"{message}, {_place(alike)}")


def _is_shared(entry: Entry, other: Entry) -> bool:
    """Whether both are one and the same pod-level entry."""
    return entry.scope is other.scope is Scope.POD and (entry.key, entry.number) == (other.key, other.number)


def _place(entry: Entry) -> str:
    return f"annotation {quote_key(entry.key)}, entry {entry.number}"
