"""Finds the pods and pod templates in a document of a manifest, at any depth, and the keys of ours that no pod has.

Goes by structure and by names of fields, not by kinds, of which anybody can define more. The few kinds in `_COPIED` are
those that have no other place for the annotations of their pods. Every mapping and list is visited once, however often
the document refers to it, and without recursion: anchors can nest deeper than any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias, TypeGuard

from nri_netdev.domain.annotations.keys import is_ours, meant_prefix
from nri_netdev.domain.text.names import escape
from nri_netdev.domain.text.yaml_nodes import Node, YamlList, YamlMapping, YamlScalar

STEPS_SHOWN = 16
"""Of a path: more than any known kind nests."""
CONTAINERS_READ = 1024
"""Of each list of containers: more than a pod can have."""
_GUESSES = 256
"""Of a document: keys that are compared with ours; each costs a tenth of a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateContainer:
    """A container of a pod or a pod template."""

    name: str
    """"" if it is listed without one: Knative gives it one."""
    is_init: bool = False
    is_sidecar: bool = False
    """An init container that restarts always, so it runs beside every later container."""
    place: int = 0
    """Among the init containers."""

    def meets(self, other: TemplateContainer) -> bool:
        """Whether both can run at the same time."""
        passing = [one for one in (self, other) if one.is_init and not one.is_sidecar]
        if not passing:
            return True
        stays = other if passing[0] is self else self
        return len(passing) == 1 and stays.is_sidecar and stays.place < passing[0].place


Annotations: TypeAlias = Mapping[str, tuple[YamlScalar, Node]]
"""Those that concern us: each key with its own node, for the line, and the value's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A pod or a pod template that has annotations for us."""

    object: str
    """Kind, namespace and name of the object that it is in."""
    path: str
    """Of its annotations, within the object."""
    annotations: Annotations
    containers: tuple[TemplateContainer, ...] | None
    """None where the document does not tell."""
    has_others: bool = False
    """Whether the pod may have containers that are not among these."""
    is_host_network: bool = False
    namespace: str = ""
    name: str = ""
    """Of the object."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The pod's."""
    runtime_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayKey:
    """A key of ours that no pod gets, or one that is nearly one of ours."""

    object: str
    """Kind, namespace and name of the object that it is in."""
    key: str
    line: int
    message: str
    """The rest of a sentence that begins with the key."""


def search(document: Node) -> Iterator[Template | StrayKey]:
    """The templates with annotations for us, and the stray keys, in the order of the document."""
    if not isinstance(document, YamlScalar):
        yield from _Search(document).results()


# -- what a pod looks like -----------------------------------------------------------------------------------------

_METADATA = ("metadata", "annotations")
_POD_LISTS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A mapping that makes a pod, recognised by what is in it."""

    mark: tuple[str, ...]
    """A path within the mapping."""
    kind: type[YamlMapping | YamlList]
    """What is there."""
    annotations: tuple[str, ...] = _METADATA
    needs_annotations: bool = False
    """Whether it is a pod only if it has annotations: without, the mark says too little."""
    spec: tuple[str, ...] = ()
    """Where the lists of containers are, and what else a pod's spec has."""
    lists: tuple[tuple[str, ...], ...] = ()
    own: tuple[str, ...] = ()
    """Names of containers that are in no list."""


def _argo(mark: tuple[str, ...], kind: type[YamlMapping | YamlList]) -> _Shape:
    """A template of an Argo workflow, whose own container is always called `main`."""
    lists = (("initContainers",), ("containerSet", "containers"), ("sidecars",))
    return _Shape(mark=mark, kind=kind, needs_annotations=True, lists=lists, own=("main", "init", "wait"))


_SHAPES = (
    _Shape(mark=("spec", "containers"), kind=YamlList, spec=("spec",), lists=tuple((name,) for name in _POD_LISTS)),
    _Shape(mark=("spec", "domain"), kind=YamlMapping, own=("compute",)),  # KubeVirt's pod around a virtual machine
    _argo(("container",), YamlMapping),
    _argo(("script",), YamlMapping),
    _argo(("containerSet", "containers"), YamlList),
    _Shape(  # KServe's predictor
        mark=("containers",),
        kind=YamlList,
        annotations=("annotations",),
        needs_annotations=True,
        lists=tuple((name,) for name in _POD_LISTS),
        own=("kserve-container",),
    ),
)

_NAMED: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"template|.*pods?(template|templatespec)?", re.IGNORECASE), _METADATA),
    (re.compile(r".*pods?(metadata|template)?", re.IGNORECASE), ("annotations",)),
    (re.compile(r"inheritedMetadata|driver|executor|predictor|transformer|explainer"), ("annotations",)),
    (re.compile(r".*podAnnotations|commonAnnotations", re.IGNORECASE), ()),
)
"""Names of fields, and the path from there to annotations of pods whose containers the document does not tell: of the
operators of Prometheus, Strimzi, CloudNativePG, Spark, OpenTelemetry and many more, of Helm values, of Kustomize."""

_MERGED = re.compile(r".*podTemplate(Spec)?", re.IGNORECASE)
"""Names of fields with a pod template that operators merge with one of their own, which has further containers."""
_COPIED = frozenset({"Notebook", "TaskRun", "PipelineRun", "InferenceService", "OpenTelemetryCollector"})
"""Kinds of Kubeflow, Tekton, KServe and OpenTelemetry whose controllers give an object's annotations to its pods."""


# -- the search ----------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True, eq=False)
class _Place:
    """A mapping or list of the document, and the way to it."""

    node: YamlMapping | YamlList
    step: str
    """The key or the `[number]` that leads here; "" for the document."""
    above: _Place | None
    object: _Place | None = None
    """The nearest mapping, from here upwards, that is an object with a kind."""
    pod: _Place | None = None
    """The first pod from here downwards."""
    annotations: tuple[str, ...] | None = None
    """Of a pod: the path from here to its annotations."""
    shape: _Shape | None = None
    """Of a pod: how it was recognised; None where its containers are unknown."""

    @property
    def name(self) -> str:
        """The key that leads here, or to the list that this is an item of."""
        place = self
        while place.step.startswith("[") and place.above is not None:
            place = place.above
        return place.step

    def path(self, further: Iterable[str] = ()) -> str:
        """The path from the object to here and further: `spec.template.metadata`."""
        steps = list(further)[::-1]
        place: _Place | None = self
        while place is not None and place is not self.object and place.step and len(steps) <= STEPS_SHOWN:
            steps.append(place.step)
            place = place.above
        shown = [escape(step) if step.startswith("[") else f".{escape(step)}" for step in steps[:STEPS_SHOWN]]
        return ("…" if len(steps) > STEPS_SHOWN else "") + "".join(reversed(shown)).removeprefix(".")


class _Search:
    """One document. What is read of a node is kept by its id, since any number of aliases may lead to it."""

    def __init__(self, document: YamlMapping | YamlList) -> None:
        self._document = document
        self._fields: dict[int, Mapping[str, Node]] = {}
        self._annotations: dict[int, Annotations] = {}
        self._labels: dict[int, Mapping[str, str]] = {}
        self._containers: dict[tuple[int, _Shape], tuple[TemplateContainer, ...]] = {}
        self._read: set[int] = set()
        """Of the keys that a pod gets, the ids of their nodes."""
        self._guesses = _GUESSES

    def results(self) -> Iterator[Template | StrayKey]:
        places = list(self._places())
        for place in places:
            if shape := self._shape(place):
                self._found(place, shape.annotations, shape)
        for place in places:
            if (path := self._named(place)) is not None:
                self._found(place, path, None)
        for place in places:
            if place.annotations is not None and (template := self._template(place, place.annotations)):
                yield template
            if isinstance(place.node, YamlMapping):
                yield from self._strays(place, place.node)

    # -- reading nodes

    def at(self, node: Node | None, *path: str) -> Node | None:
        """What a path of keys leads to; unlike the node's own, it takes no longer in a large mapping."""
        for key in path:
            if not isinstance(node, YamlMapping):
                return None
            if id(node) not in self._fields:
                self._fields[id(node)] = {key.text: value for key, value in node.pairs}
            node = self._fields[id(node)].get(key)
        return node

    def _text(self, node: Node | None, *path: str) -> str:
        found = self.at(node, *path)
        return found.text if isinstance(found, YamlScalar) and not found.is_null else ""

    def _annotations_at(self, node: Node | None) -> Annotations:
        if not isinstance(node, YamlMapping):
            return {}
        if id(node) not in self._annotations:
            ours = {key.text: (key, value) for key, value in node.pairs if is_ours(key.text)}
            self._annotations[id(node)] = ours
        return self._annotations[id(node)]

    def _labels_at(self, node: Node | None) -> Mapping[str, str]:
        if not isinstance(node, YamlMapping):
            return {}
        if id(node) not in self._labels:
            self._labels[id(node)] = {key.text: self._text(node, key.text) for key, _ in node.pairs}
        return self._labels[id(node)]

    def _containers_at(self, node: Node | None, shape: _Shape) -> tuple[TemplateContainer, ...]:
        if (id(node), shape) not in self._containers:
            listed = [one for path in shape.lists for one in self._listed(self.at(node, *path), path[-1])]
            names = {one.name for one in listed}
            own = [TemplateContainer(name=name) for name in shape.own if name not in names]
            self._containers[id(node), shape] = (*own, *listed)
        return self._containers[id(node), shape]

    def _listed(self, nodes: Node | None, name: str) -> Iterator[TemplateContainer]:
        is_init = name == "initContainers"
        for place, node in enumerate(islice(nodes.items, CONTAINERS_READ) if isinstance(nodes, YamlList) else ()):
            if isinstance(node, YamlMapping):
                is_sidecar = is_init and self._text(node, "restartPolicy") == "Always"
                one = TemplateContainer(
                    name=self._text(node, "name"), is_init=is_init, is_sidecar=is_sidecar, place=place
                )
                yield one

    # -- places

    def _places(self) -> Iterator[_Place]:
        """Every mapping and list, once, in the order of the document."""
        seen: set[int] = set()
        stack = [_Place(node=self._document, step="", above=None)]
        while stack:
            place = stack.pop()
            if id(place.node) in seen:
                continue
            seen.add(id(place.node))
            outer = place.above.object if place.above else None
            place.object = place if self._is_object(place.node) else outer
            yield place
            if isinstance(place.node, YamlList):
                steps = [(f"[{number}]", item) for number, item in enumerate(place.node.items)]
            else:
                steps = [(key.text, value) for key, value in place.node.pairs]
            below = [_Place(node=node, step=step, above=place) for step, node in steps if _is_inner(node)]
            stack.extend(reversed(below))

    def _is_object(self, node: Node) -> bool:
        has_body = any(isinstance(self.at(node, key), YamlMapping) for key in ("metadata", "spec"))
        return has_body and self._text(node, "kind") != ""

    # -- pods

    def _shape(self, place: _Place) -> _Shape | None:
        for shape in _SHAPES:
            if not isinstance(self.at(place.node, *shape.mark), shape.kind):
                continue
            has_all = not shape.needs_annotations or isinstance(self.at(place.node, *shape.annotations), YamlMapping)
            # Where the pod's metadata is beside the containers, these are additions to an operator's own.
            if has_all and self.at(place.node, "spec", "podMetadata") is None:
                return shape
        return None

    def _named(self, place: _Place) -> tuple[str, ...] | None:
        """The path to annotations of pods from a place that is known by its name or its kind alone."""
        if place.annotations is not None:
            return None
        if place.object is place and self._text(place.node, "kind") in _COPIED:
            return _METADATA
        name = "" if place.pod else place.name
        for pattern, path in _NAMED if name else ():
            if isinstance(self.at(place.node, *path), YamlMapping) and pattern.fullmatch(name):
                return path
        return None

    def _found(self, place: _Place, path: tuple[str, ...], shape: _Shape | None) -> None:
        place.annotations, place.shape = path, shape
        annotations = self.at(place.node, *path)
        if id(annotations) not in self._annotations:
            self._read.update(id(key) for key, _ in self._annotations_at(annotations).values())
        above: _Place | None = place
        while above is not None and above.pod is None:
            above.pod = place
            above = above.above

    def _template(self, place: _Place, path: tuple[str, ...]) -> Template | None:
        annotations = self._annotations_at(self.at(place.node, *path))
        if not annotations:
            return None
        shape, like = place.shape, place
        if shape is None and place.pod is not None:  # what a controller copies is for the pods below
            shape, like = place.pod.shape, place.pod
        spec = self.at(like.node, *shape.spec) if shape else None
        host_network = self.at(spec, "hostNetwork")
        around = place.object.node if place.object else None
        containers = self._containers_at(spec, shape) if shape else None
        return Template(
            object=self._title(place),
            path=place.path(path),
            annotations=annotations,
            containers=containers,
            has_others=_MERGED.fullmatch(like.name) is not None or any(not one.name for one in containers or ()),
            is_host_network=isinstance(host_network, YamlScalar) and host_network.is_true,
            namespace=self._text(around, "metadata", "namespace"),
            name=self._text(around, "metadata", "name"),
            labels=self._labels_at(self.at(like.node, "metadata", "labels")),
            runtime_class=self._text(spec, "runtimeClassName"),
        )

    def _title(self, place: _Place) -> str:
        around = place.object.node if place.object else None
        names = [self._text(around, "metadata", key) for key in ("namespace", "name")]
        kind = self._text(around, "kind") or "object"
        return escape(f"{kind} {'/'.join(name for name in names if name)}".rstrip())

    # -- strays

    def _strays(self, place: _Place, node: YamlMapping) -> Iterator[StrayKey]:
        for key, _ in node.pairs:
            if is_ours(key.text):
                message = "" if id(key) in self._read else self._why_unread(place)
            else:
                message = self._guess(key.text) if place.step.lower().endswith("annotations") else ""
            if message:
                yield StrayKey(object=self._title(place), key=key.text, line=key.line, message=message)

    def _guess(self, key: str) -> str:
        if not key.lower().startswith(("nri", "net")) or self._guesses == 0:
            return ""
        self._guesses -= 1
        meant = meant_prefix(key)
        return f"is no key of nri-netdev{meant}" if meant else ""

    def _why_unread(self, place: _Place) -> str:
        around: _Place | None = place
        while around is not None and around.pod is None and around is not place.object:
            around = around.above
        pod = around.pod if around else None
        target = "the metadata.annotations of a pod or of a pod template"
        if pod is not None and pod.annotations is not None and pod.object is place.object:
            target = pod.path(pod.annotations)
        is_label = ": only annotations are read" if place.step in {"labels", "matchLabels"} else ""
        return f"no pod gets it from {place.path() or 'here'}{is_label}; move it to {target}"


def _is_inner(node: Node) -> TypeGuard[YamlMapping | YamlList]:
    return not isinstance(node, YamlScalar)
