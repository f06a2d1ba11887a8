"""The stored data: one JSON file for each subject, beside the tests."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nri_netdev.domain.setup.values import PLAIN, Setup

DIRECTORY = Path(__file__).parent


def stored(subject: str) -> Any:
    """The data of a subject, as last written."""
    return json.loads((DIRECTORY / f"{subject}.json").read_text(encoding="utf-8"))


def write(subject: str, data: object) -> None:
    """Replace the data of a subject."""
    text = json.dumps(data, indent=1, ensure_ascii=True)
    (DIRECTORY / f"{subject}.json").write_text(f"{text}\n", encoding="utf-8")


def as_json(data: object) -> Any:
    """A value as it comes back from a JSON file."""
    return json.loads(json.dumps(data))


def plain(value: Any) -> Any:
    """A value of the program as JSON has it: of each dataclass the fields that say something, by name."""
    if dataclasses.is_dataclass(value):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        if isinstance(value, Setup):
            fields = {name: one for name, one in fields.items() if one != getattr(PLAIN, name)}
        found = {name: plain(one) for name, one in fields.items()}
        return {name: one for name, one in found.items() if one not in (None, {}, [], "")}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, frozenset)):
        return [plain(one) for one in (sorted(value) if isinstance(value, frozenset) else value)]
    return str(value) if isinstance(value, Path) else value
