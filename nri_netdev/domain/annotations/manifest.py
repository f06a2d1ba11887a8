"""Checks the annotations in files of Kubernetes manifests as the daemon will read them, without a node.

`nri_netdev.domain.annotations.templates` finds pods and pod templates. Their annotations are read for each container
with `nri_netdev.domain.annotations.request`. To that come the problems that only the whole pod shows: a container that
is not there, an interface that two of its containers would hold at once, the host's network, a key that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice

from nri_netdev.domain.annotations.grammars import ANNOTATION_PREFIX, sources
from nri_netdev.domain.annotations.keys import named_container, why_unknown
from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.annotations.templates import StrayKey, Template, TemplateContainer, search
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import did_you_mean, escape, quote, quote_key

KEY_NAME_CHARS = 63
"""Longest part of an annotation key after its `/` (Kubernetes `IsQualifiedName`)."""

_CONTAINERS_READ = 64
"""Of a pod: more than known pods have; each is compared with each other."""

_NAMES_SHOWN = 8
"""Of a pod's containers, in one message."""

MOST_FINDINGS = 1000
"""Of one file: more than anybody reads."""
MOST_READ_CHARS = 4 * 1024 * 1024
"""Of annotations in one file, each counted for each container that it is read for: ten thousand pods. A small file can
ask for far more by aliases. Reading so much takes two seconds."""
_READING_CHARS = 64
"""What it costs to read an annotation, beside its length."""


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
    """Check the text of one file: YAML or JSON, any number of documents, any kinds.

    Args:
        name: the file's, for messages.
        text: its content.

    Returns:
        Findings in the order of the file; where it cannot be read or checked any further, that is the last one.
    """
    found = list(islice(_findings(name, text), MOST_FINDINGS + 1))
    if len(found) > MOST_FINDINGS:
        last = found[MOST_FINDINGS]
        message = f"{MOST_FINDINGS} findings are told, and there are more; correct these first"
        found[MOST_FINDINGS:] = [Finding(file=name, document=last.document, message=message)]
    return tuple(found)


def _findings(name: str, text: str) -> Iterator[Finding]:
    document = read_chars = 0
    try:
        for document, node in enumerate(yaml_nodes.load_all(text), 1):
            for found in search(node):
                if isinstance(found, StrayKey):
                    yield _stray(name, document, found)
                    continue
                read_chars += _cost_chars(found)
                if read_chars > MOST_READ_CHARS:
                    message = "its pods have more annotations in all than are checked; split the file"
                    yield Finding(file=name, document=document, message=message)
                    return
                yield from _template_findings(name, document, found)
    except yaml_nodes.YamlError as error:
        about = f"line {error.line}" if error.line else ""
        yield Finding(file=name, document=document + 1, message=f"the file {error.reason}", about=about)


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
    """The pods, and templates of pods, that have annotations for us, in the text of a file of manifests.

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
            containers=tuple(container.name or "any" for container in _containers(template)),
            is_host_network=template.is_host_network,
        )
        for document, node in enumerate(yaml_nodes.load_all(text), 1)
        for template in search(node)
        if isinstance(template, Template)
    )


def _containers(template: Template) -> Sequence[TemplateContainer]:
    """The containers to read the annotations for; those that they name, where the manifest does not list any."""
    if template.containers is not None:
        return template.containers
    named = dict.fromkeys(filter(None, map(named_container, template.annotations)))
    return [TemplateContainer(name=name) for name in named or ("any",)]


# -- findings ----------------------------------------------------------------------------------------------------


def _stray(file: str, document: int, found: StrayKey) -> Finding:
    about = f"{found.object}, line {found.line}"
    return Finding(file=file, document=document, annotation=found.key, message=found.message, about=about)


def _cost_chars(template: Template) -> int:
    texts = [value.text for _, value in template.annotations.values() if isinstance(value, yaml_nodes.YamlScalar)]
    chars = sum(map(len, texts)) + _READING_CHARS * len(template.annotations)
    return chars * (1 + min(len(_containers(template)), _CONTAINERS_READ))


def _template_findings(file: str, document: int, template: Template) -> Iterator[Finding]:
    for problem in dict.fromkeys(_problems(template)):
        about = (
            template.object,
            "" if template.path == "metadata.annotations" else template.path,
            f"line {template.annotations[problem.key][0].line}",
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


# -- judging one template ----------------------------------------------------------------------------------------


def _problems(template: Template) -> Iterator[Problem]:
    texts: dict[str, str] = {}
    names = None if template.containers is None else {one.name: None for one in template.containers if one.name}
    for key, (_, value) in template.annotations.items():
        yield from _key_problems(key, template)
        if names is not None:
            yield from _missing(key, names, has_others=template.has_others)
        if isinstance(value, yaml_nodes.YamlScalar):
            texts[key] = "" if value.is_null else value.text
        else:
            kind = yaml_nodes.kind_of(value)
            yield Problem(key=key, message=f"the value must be a text, not {kind}; write | and the list below it")
    yield from _reading_problems(template, texts)


def _key_problems(key: str, template: Template) -> Iterator[Problem]:
    if template.is_host_network:
        message = "the pod is on the host network, where every interface already is; remove hostNetwork: true or "
        yield Problem(key=key, message=message + "the annotation")
    prefix, _, name = key.partition("/")
    if len(name) > KEY_NAME_CHARS:
        message = f"the part after / has {len(name)} characters, and Kubernetes takes {KEY_NAME_CHARS}; "
        yield Problem(key=key, message=message + "shorten the container's name, or ask for the pod")
    unknown = why_unknown(key)
    if unknown and (named_container(key) is not None or prefix != ANNOTATION_PREFIX):  # else `parse` tells it
        yield Problem(key=key, message=unknown)


def _missing(key: str, names: Mapping[str, None], *, has_others: bool) -> Iterator[Problem]:
    """A container that the pod does not have; if it may have others, only where one that it has is meant."""
    container = named_container(key)
    if not container or container in names:
        return
    first = list(islice(names, _CONTAINERS_READ))
    told = did_you_mean(container, {name.lower(): name for name in first})
    if not told and not has_others and first:
        told = "; it has " + ", ".join(map(quote, first[:_NAMES_SHOWN])) + (", …" if len(names) > _NAMES_SHOWN else "")
    if told or not has_others:
        yield Problem(key=key, message=f"the pod has no container {quote(container)}{told}")


def _reading_problems(template: Template, texts: Mapping[str, str]) -> Iterator[Problem]:
    """Problems in the values. Pod-level values are read again for each container."""
    containers = _containers(template)[:_CONTAINERS_READ]
    is_whole = len(containers) == len(_containers(template))
    for key in () if is_whole else list(texts)[:1]:
        yield Problem(key=key, message=f"is checked for the first {_CONTAINERS_READ} containers of the pod only")
    asked: list[tuple[TemplateContainer, tuple[Entry, ...]]] = []
    for container in containers:
        parsed = parse(texts, container=container.name)
        yield from parsed.problems
        asked.append((container, parsed.entries))
    names = {container.name for container in _containers(template)}
    for key, text in texts.items():
        stray = named_container(key)
        if stray is not None and stray not in names:
            yield from parse({key: text}, container=stray).problems
    if is_whole and containers:
        yield from _unread(texts, names)
    if template.containers is not None:
        yield from _all_clashes(asked)


def _unread(texts: Mapping[str, str], names: AbstractSet[str]) -> Iterator[Problem]:
    """Annotations that no container reads though each could be read: of another plugin's, the first counts."""
    read = {source.key for name in names for source in sources(texts, container=name)}
    for key in texts:
        if key not in read and why_unknown(key) is None and named_container(key) in {None, *names}:
            message = "no container reads it, since another annotation of that plugin comes first; remove one of them"
            yield Problem(key=key, message=message)


def _all_clashes(asked: Sequence[tuple[TemplateContainer, tuple[Entry, ...]]]) -> Iterator[Problem]:
    for place, (container, entries) in enumerate(asked):
        for earlier, others in asked[:place]:
            meets = container.meets(earlier)
            # What an earlier container got for the pod stays, even if that container itself is gone.
            staying = [entry for entry in others if meets or entry.scope is Scope.POD]
            yield from _clashes(entries, staying, earlier)


def _clashes(entries: Iterable[Entry], others: Iterable[Entry], other: TemplateContainer) -> Iterator[Problem]:
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
