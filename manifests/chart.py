"""Writes the Helm chart from what kustomize makes of the base, the overlays and the components beside this script.

`python manifests/chart.py` writes; `python manifests/chart.py --check` fails when the chart is not what they give.

kustomize builds the base, and the base with each overlay and each component. Where the results differ, the template has
a condition. A field that a value sets is a line of `VALUES`. NOTES.txt and .helmignore are written by hand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from variants import At, Fields, Writer, escaped, indented, joined, when

MANIFESTS = Path(__file__).resolve().parent
ROOT = MANIFESTS.parent
CHART = MANIFESTS / "chart"
NAME = "nri-netdev"
"""Of the chart, and of the namespace that the manifests name."""
DEFAULT_OVERLAY = "containerd"
MADE = ("Chart.yaml", "values.yaml", "values.schema.json", "templates/*.yaml", "files/*")
"""What is written here, and removed when nothing gives it any more."""

Objects = dict[tuple[str, str], Fields]
"""What kustomize makes, by kind and name."""

POD: At = (f"DaemonSet/{NAME}", "spec", "template", "spec")
CONTAINER: At = (*POD, "containers", NAME)
METADATA: At = (f"DaemonSet/{NAME}", "spec", "template", "metadata")
OBJECTS = {"type": "array", "items": {"type": "object"}}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
TEXT = {"type": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value that sets a field; its default is what the base has there."""

    at: At
    text: str
    schema: Mapping[str, Any]
    default: Any = None
    """Unless the base has the field."""
    is_added: bool = False
    """Whether it comes beside what the base has."""


VALUES: Mapping[str, Value] = {
    "imagePullSecrets": Value(
        at=(*POD, "imagePullSecrets"), default=[], schema=OBJECTS, text="As a pod has them: [{name: NAME}]."
    ),
    "resources": Value(at=(*CONTAINER, "resources"), schema={"type": "object"}, text="Of the daemon's container."),
    "priorityClassName": Value(
        at=(*POD, "priorityClassName"), schema=TEXT, text="The chart makes the class unless another one is named."
    ),
    "nodeSelector": Value(at=(*POD, "nodeSelector"), schema=TEXTS, text="Which nodes get the daemon."),
    "tolerations": Value(at=(*POD, "tolerations"), schema=OBJECTS, text="By default every node that runs pods."),
    "affinity": Value(at=(*POD, "affinity"), default={}, schema={"type": "object"}, text="As a pod has it."),
    "podAnnotations": Value(
        at=(*METADATA, "annotations"), default={}, schema=TEXTS, is_added=True, text="Further annotations of the pods."
    ),
    "podLabels": Value(
        at=(*METADATA, "labels"), default={}, schema=TEXTS, is_added=True, text="Further labels of the pods."
    ),
}
"""Values that are no more than a field, in the order of values.yaml."""

IMAGE = (
    "{{ .Values.image.repository }}"
    "{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}"
)
"""In the place of the image of the base."""
SET: Mapping[At, str] = {
    (f"Namespace/{NAME}", "metadata", "name"): "name: {{ .Release.Namespace | quote }}",
    # An upgrade without `namespace.create` would take the namespace away, with all that is in it.
    (f"Namespace/{NAME}", "metadata", "annotations"): "annotations: {helm.sh/resource-policy: keep}",
}
"""Fields that other values set."""

GUARDS = {
    "Namespace": ".Values.namespace.create",
    "PriorityClass": f'eq (default "" .Values.priorityClassName) "{NAME}"',
}
"""Kinds that are there by condition only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What kustomize makes of the base, and of the base with each overlay or component."""

    base: Objects
    overlays: Mapping[str, Objects]
    components: Mapping[str, Objects]
    schema: Fields
    """Of the daemon's configuration."""

    def variants(self) -> dict[str, Objects]:
        """By the condition in a template."""
        return {f'eq .Values.overlay "{name}"': objects for name, objects in self.overlays.items()} | {
            f'(index .Values.components "{name}").enabled': objects for name, objects in self.components.items()
        }

    def daemonset(self) -> Fields:
        """Of the base."""
        return self.base["DaemonSet", NAME]

    def configuration(self) -> str:
        """Of the base, with its comments."""
        return str(self.base["ConfigMap", NAME]["data"]["config.yaml"])


def read() -> Source:
    """Build everything.

    Raises:
        SystemExit: there is no kustomize, or it fails.
    """
    overlays = [path.parent.name for path in sorted(MANIFESTS.glob("overlays/*/kustomization.yaml"))]
    components = [path.parent.name for path in sorted(MANIFESTS.glob("components/*/kustomization.yaml"))]
    return Source(
        base=build("base"),
        overlays={name: build(f"overlays/{name}") for name in overlays},
        components={name: build("base", name) for name in components},
        schema=json.loads((ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8")),
    )


def build(resource: str, *components: str) -> Objects:
    """What kustomize makes of a directory here, with components."""
    cached = ROOT / ".cache" / "e2e" / "bin" / "kustomize"
    program = cached if cached.exists() else shutil.which("kustomize")
    if program is None:
        raise SystemExit("there is no kustomize; run: make e2e-tools")
    with tempfile.TemporaryDirectory() as folder:
        here = os.path.relpath(MANIFESTS, Path(folder).resolve())
        kustomization = {
            "namespace": NAME,
            "resources": [f"{here}/{resource}"],
            "components": [f"{here}/components/{name}" for name in components],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
        done = subprocess.run([program, "build", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"kustomize build of {resource} failed: {done.stderr.strip()}")
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout) if one}


# Templates


def templates(source: Source) -> dict[str, str]:
    """A file for each object of the base and of the variants."""
    variants = source.variants()
    writer = Writer(fields=_fields(source), more=_more(), leaf=_leaf(source))
    texts = {}
    for kind, name in sorted({*source.base, *(key for objects in variants.values() for key in objects)}):
        others = {condition: objects.get((kind, name)) for condition, objects in variants.items()}
        lines = writer.object(f"{kind}/{name}", source.base.get((kind, name)), others)
        guarded = when(f"if {GUARDS[kind]}", lines) if kind in GUARDS else lines
        path = f"templates/{kind.lower()}{name.removeprefix(NAME)}.yaml"
        texts[path] = "\n".join((f"{{{{- /* {_MARK} */ -}}}}", *joined(guarded), ""))
    return texts


_MARK = "Written by `make chart`; the reasons are in the comments of manifests/base and manifests/components."


def _leaf(source: Source) -> Callable[[str, Any], str | None]:
    """What a template says in the place of a value, wherever it stands; a component's container has the same image."""
    image, policy = (_container(source)[key] for key in ("image", "imagePullPolicy"))
    said = {
        ("namespace", NAME): "{{ .Release.Namespace | quote }}",
        ("image", image): f'"{IMAGE}"',
        ("imagePullPolicy", policy): "{{ .Values.image.pullPolicy }}",
    }

    def leaf(key: str, value: Any) -> str | None:
        if isinstance(value, str) and "\n" in value:
            return f"{{{{ .Files.Get {json.dumps(f'files/{key}')} | toJson }}}}"
        return said.get((key, value)) if isinstance(value, str) else None

    return leaf


def _fields(source: Source) -> dict[At, Iterable[str]]:
    """The lines of every field that values set."""
    return {
        **{at: [line] for at, line in SET.items()},
        **{
            value.at: when(f"with .Values.{name}", [f"{value.at[-1]}: {{{{ toJson . }}}}"])
            for name, value in VALUES.items()
            if not value.is_added
        },
        (f"ConfigMap/{NAME}", "data", "config.yaml"): _configuration(source.configuration()),
    }


def _more() -> dict[At, Iterable[str]]:
    """What values add to mappings."""
    pair = "{{ toJson $key }}: {{ toJson $value }}"
    return {
        value.at: when(f"range $key, $value := .Values.{name}", [pair])
        for name, value in VALUES.items()
        if value.is_added
    }


def _configuration(text: str) -> list[str]:
    """The daemon's configuration: the text of the base with its comments, what is set in it, and what else is set."""
    here = ["{{- toYaml . | nindent 4 }}"]
    lines: list[str] = []
    keys: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"\w+(?=:)", line):
            keys.append(json.dumps(found[0]))
            lines += when(f"with pick .Values.config {keys[-1]}", here)
        elif line and not line.startswith("#"):
            raise SystemExit(f"a key of base/config.yaml must be one line, for its value to be replaced: {line!r}")
        else:
            lines.append(escaped(line))
    lines += when(f"with omit .Values.config {' '.join(keys)}", here)
    return ["config.yaml: |", *indented(lines)]


# What is beside the templates


def files(source: Source) -> dict[str, str]:
    """Texts of several lines, as a dashboard, which templates take from files."""
    return {
        f"files/{key}": text
        for objects in (source.base, *source.components.values())
        for (kind, _), one in objects.items()
        if kind == "ConfigMap"
        for key, text in one.get("data", {}).items()
        if "\n" in text and key != "config.yaml"
    }


def values(source: Source) -> str:
    """values.yaml, with the defaults of the base and the comments of what they choose."""
    repository, _, _ = _container(source)["image"].rpartition(":")
    return _VALUES.format(
        overlays="\n".join(_comment("overlays", name, f"# {name}: ", "#   ") for name in source.overlays),
        overlay=DEFAULT_OVERLAY,
        components="\n".join(
            f"{_comment('components', name, '  # ', '  # ')}\n  {name}: {{enabled: false}}"
            for name in source.components
        ),
        repository=repository,
        policy=_container(source)["imagePullPolicy"],
        fields="\n".join(
            f"# {value.text}\n{yaml.safe_dump({name: _default(source, value)})}" for name, value in VALUES.items()
        ),
        config="\n".join(indented(source.configuration().splitlines())),
    )


_VALUES = """\
# Written by `make chart` from manifests/base, overlays and components.

{overlays}
overlay: {overlay}

components:
{components}

# Yours: there is no public registry that we could name here. Without a tag it is the chart's appVersion; a digest, as
# sha256:…, goes over a tag.
image:
  repository: {repository}
  tag: ""
  digest: ""
  pullPolicy: {policy}

{fields}
# Make the namespace too, with the labels that it needs. Only where it is not there yet.
namespace: {{create: false}}

# All keys of docs/policy.md may stand here.
config:
{config}
"""


def _comment(folder: str, name: str, first: str, others: str) -> str:
    """The comment that a kustomization begins with."""
    text = (MANIFESTS / folder / name / "kustomization.yaml").read_text(encoding="utf-8")
    words = " ".join(line.removeprefix("#") for line in text[: text.index("apiVersion:")].splitlines())
    return textwrap.fill(" ".join(words.split()), 120, initial_indent=first, subsequent_indent=others)


def _container(source: Source) -> Fields:
    (found,) = source.daemonset()["spec"]["template"]["spec"]["containers"]
    return dict(found)


def _default(source: Source, value: Value) -> Any:
    """What the base has where a value goes."""
    if value.is_added:
        return value.default
    found: Any = source.daemonset()
    for key in value.at[1:]:
        found = next(one for one in found if one["name"] == key) if isinstance(found, list) else found.get(key)
    return value.default if found is None else found


def schema(source: Source) -> Fields:
    """values.schema.json, with the schema of the configuration in it."""
    switch = _closed({"enabled": {"type": "boolean"}})
    policies = {"enum": ["Always", "IfNotPresent", "Never"]}
    digest = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
    metadata = source.daemonset()["spec"]["template"]["metadata"]
    properties = {
        "overlay": {"enum": list(source.overlays)},
        "components": _closed(dict.fromkeys(source.components, switch)),
        "image": _closed({"repository": TEXT, "tag": TEXT, "digest": digest, "pullPolicy": policies}),
        "namespace": _closed({"create": {"type": "boolean"}}),
        **{
            name: {"description": value.text, **value.schema}
            | ({"propertyNames": {"not": {"enum": sorted(metadata[value.at[-1]])}}} if value.is_added else {})
            for name, value in VALUES.items()
        },
        "config": {key: value for key, value in source.schema.items() if not key.startswith("$")},
        "global": {"description": "what Helm gives a chart within a chart", "type": "object"},
    }
    return {
        "$schema": source.schema["$schema"],
        "title": f"Values of the chart {NAME}",
        **_closed(properties),
        # A template leaves out any other that is null.
        "required": sorted(set(properties) - {*VALUES, "global"}),
    }


def _closed(properties: Fields) -> Fields:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(properties)}


def about(source: Source) -> str:
    """Chart.yaml: one version for program, image and chart."""
    version = _container(source)["image"].rpartition(":")[2]
    return _ABOUT.format(name=NAME, version=version)


_ABOUT = """\
# Written by `make chart`.
apiVersion: v2
name: {name}
description: Gives host network interfaces to Kubernetes containers, and brings them home
type: application
version: {version}
appVersion: "{version}"
"""


def chart() -> dict[Path, str]:
    """Every file as it should be."""
    source = read()
    texts = {
        "Chart.yaml": about(source),
        "values.yaml": values(source),
        "values.schema.json": json.dumps(schema(source), indent=2) + "\n",
        **templates(source),
        **files(source),
    }
    return {CHART / name: text for name, text in texts.items()}


def main() -> int:
    """Write or check the chart; return the exit status."""
    wanted = chart()
    superfluous = {path for pattern in MADE for path in CHART.glob(pattern)} - set(wanted)
    if "--check" in sys.argv:
        stale = {path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text}
        for path in sorted(stale | superfluous):
            print(f"{path.relative_to(ROOT)} is not what it is made of; run `make chart`", file=sys.stderr)
        return int(bool(stale | superfluous))
    for path in superfluous:
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
