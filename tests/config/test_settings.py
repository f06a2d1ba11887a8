"""The configuration: from file, engine and options, every problem told at once, and never worse than before."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.config import settings as config
from nri_netdev.config.settings import AT_START, CONFIGURATION, Settings, Watched
from nri_netdev.domain.policy.rules import LabelSelector, Operator, Requirement, Rule
from nri_netdev.domain.policy.selectors import LinkState, Selector
from nri_netdev.errors import ConfigurationError

FULL = """\
# Everything that can be set.
socket: /run/nri.sock
name: netdev
index: "07"
state_dir: /s
run_dir: /r
log_level: debug
injection: oci
on_missed: attach
health: unix:///h
metrics: "[::1]:9100"
protected:
  - mgmt*
  - {mac: "02:00:5E:10:00:01"}
pools:
  fast:
    - {driver: ice, min_speed_mbps: 25000, numa_node: 1, state: up}
    - {vf_of: ens1f0, device: "8086:1889"}
  shared: [{kind: macvlan}, {pci: "3b:00.0"}, {altname: left}]
rules:
  - name: team a
    namespaces: [team-a, "team-a-*"]
    pods:
      matchLabels: {app: router}
      matchExpressions:
        - {key: tier, operator: In, values: [front, back]}
        - {key: legacy, operator: DoesNotExist}
    runtime_handlers: [default, kata]
    interfaces: [ens2f0, {altname: right}]
    pools: [fast, shared]
    count: 2
    names: ["net*", left]
    allow_protected: true
  - {namespaces: ["*"], pools: [shared]}
"""


def written(directory: Path, text: str) -> Path:
    """A configuration file."""
    path = directory / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default file may be absent, and nothing is given then."""
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "absent.yaml")
    assert config.load(None) == Settings()
    assert config.load(None).policy.rules == ()


@pytest.mark.parametrize("text", ["", "# nothing set\n", "null", "{}"])
def test_an_empty_file_sets_nothing(tmp_path: Path, text: str) -> None:
    """However empty it is."""
    assert config.load(written(tmp_path, text)) == Settings()


def test_everything_that_can_be_set_is_read(tmp_path: Path) -> None:
    """Into values that cannot be wrong."""
    settings = config.load(written(tmp_path, FULL))
    assert (settings.socket, settings.index, settings.injection) == (Path("/run/nri.sock"), "07", "oci")
    assert (settings.health, settings.metrics) == ("unix:///h", "[::1]:9100")
    policy = settings.policy
    assert policy.protected == (Selector(interface="mgmt*"), Selector(mac="02:00:5e:10:00:01"))
    assert policy.pools == {
        "fast": (
            Selector(driver="ice", min_speed_mbps=25000, numa_node=1, state=LinkState.UP),
            Selector(vf_of="ens1f0", device="8086:1889"),
        ),
        "shared": (Selector(kind="macvlan"), Selector(pci="0000:3b:00.0"), Selector(altname="left")),
    }
    assert policy.rules == (
        Rule(
            number=1,
            name="team a",
            namespaces=("team-a", "team-a-*"),
            pods=LabelSelector(
                match_labels={"app": "router"},
                match_expressions=(
                    Requirement(key="tier", operator=Operator.IN, values=("front", "back")),
                    Requirement(key="legacy", operator=Operator.DOES_NOT_EXIST),
                ),
            ),
            runtime_handlers=("default", "kata"),
            interfaces=(Selector(interface="ens2f0"), Selector(altname="right")),
            pools=("fast", "shared"),
            count=2,
            names=("net*", "left"),
            allow_protected=True,
        ),
        Rule(number=2, namespaces=("*",), pools=("shared",)),
    )


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """Field by field; an option that was not given does not."""
    path = written(tmp_path, "index: '20'\nname: netdev\nsocket: /run/nri.sock\n")
    settings = config.load(path, index="30", name=None)
    assert settings == Settings(index="30", name="netdev", socket=Path("/run/nri.sock"))


def test_what_the_engine_passes_wins_over_the_file(tmp_path: Path) -> None:
    """Key by key, in what can change while the daemon runs, and not over options."""
    path = written(tmp_path, "log_level: debug\nprotected: [a0]\nrules: [{namespaces: [a], interfaces: [b]}]\n")
    settings = config.load(path, "log_level: error\nprotected: [c0]\ninjection: oci\n", injection="netlink")
    assert (settings.log_level, settings.injection) == ("error", "netlink")
    assert settings.policy.protected == (Selector(interface="c0"),)
    assert [rule.namespaces for rule in settings.policy.rules] == [("a",)]
    with pytest.raises(ConfigurationError, match="configuration from the engine: socket cannot be set there"):
        config.load(path, "socket: /x\n")
    with pytest.raises(ConfigurationError, match='configuration from the engine:1: log_level "x" is not one of'):
        config.load(path, "log_level: x")


def test_load_tells_them_one_a_line(tmp_path: Path) -> None:
    """With the file's name, so that an editor can jump there."""
    path = written(tmp_path, "index: x\nsocket: y\n")
    with pytest.raises(ConfigurationError) as refusal:
        config.load(path)
    assert str(refusal.value).splitlines() == [
        f'{path}:1: index "x" is not two digits, 00 to 99',
        f'{path}:2: socket "y" is not an absolute path',
    ]


def test_options_are_checked_as_the_file_is(tmp_path: Path) -> None:
    """All of them at once."""
    with pytest.raises(ConfigurationError, match=r'index "x" is not two digits.*; log_level "y" is not one of'):
        config.load(written(tmp_path, ""), index="x", log_level="y")


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """And be text."""
    with pytest.raises(ConfigurationError, match="there is no configuration file"):
        config.load(tmp_path / "absent.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot read the configuration file"):
        config.load(tmp_path / "binary")


# -- reloading ---------------------------------------------------------------------------------------------------------


def test_a_change_comes_into_force(tmp_path: Path) -> None:
    """And what has not changed is not told of."""
    path = written(tmp_path, "log_level: info\n")
    watched = Watched(path)
    watched.load()
    assert watched.reload() is None
    written(tmp_path, "log_level: debug\nrules: [{namespaces: [a], interfaces: [b]}]\n")
    change = watched.reload()

    assert change is not None
    assert not change.problems
    assert change.settings is watched.settings
    assert (watched.settings.log_level, len(watched.settings.policy.rules)) == ("debug", 1)
    assert watched.reload() is None


def test_a_configmaps_swap_is_a_change(tmp_path: Path) -> None:
    """The kubelet replaces a symbolic link two levels above the file; the file's own path stays."""
    for version, level in (("1", "info"), ("2", "debug")):
        (tmp_path / version).mkdir()
        written(tmp_path / version, f"log_level: {level}\n")
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    watched = Watched(tmp_path / "config.yaml")
    watched.load()
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert watched.reload() is not None
    assert watched.settings.log_level == "debug"


@pytest.mark.parametrize("bad", ["log_level: x\nindex: y\n", "a: [", None])
def test_what_is_wrong_never_comes_into_force(tmp_path: Path, bad: str | None) -> None:
    """The old settings stay, every problem is told once, and the next good text is taken."""
    path = written(tmp_path, "log_level: debug\n")
    watched = Watched(path)
    before = watched.load()
    if bad is None:
        path.unlink()
    else:
        written(tmp_path, bad)
    change = watched.reload()

    assert change is not None
    assert change.problems
    assert change.settings is before is watched.settings
    assert watched.reload() is None
    written(tmp_path, "log_level: error\n")
    assert watched.reload() is not None
    assert watched.settings.log_level == "error"


def test_what_only_a_start_can_change_is_told(tmp_path: Path) -> None:
    """The rest comes into force without it."""
    watched = Watched(written(tmp_path, ""))
    watched.load()
    written(tmp_path, "socket: /elsewhere\nname: other\nlog_level: debug\n")
    change = watched.reload()

    assert change is not None
    assert change.needs_restart == ("socket", "name")
    assert (watched.settings.socket, watched.settings.log_level) == (Settings().socket, "debug")


def test_an_engine_that_configures_anew_is_heard(tmp_path: Path) -> None:
    """What it passes is looked at together with the file, then and whenever the file changes."""
    watched = Watched(written(tmp_path, "log_level: info\n"))
    watched.load()
    change = watched.configure("log_level: error\n")
    assert change is not None
    assert change.settings.log_level == "error"
    written(tmp_path, "log_level: debug\ninjection: oci\n")
    change = watched.reload()
    assert change is not None
    assert (change.settings.log_level, change.settings.injection) == ("error", "oci")


# -- the definition ----------------------------------------------------------------------------------------------------


def test_every_setting_is_defined_in_one_place() -> None:
    """What can be set is what the file may hold, with a meaning and, but for the policy, a default."""
    names = {one.name for one in fields(Settings)} - {"policy"}
    assert set(CONFIGURATION.members) == names | {"protected", "pools", "rules"}
    assert set(AT_START) < names
    for name in names:
        assert CONFIGURATION.members[name].text


def test_the_schema_is_one_that_tools_understand() -> None:
    """Of the keywords of JSON schema only those that mean the same in every draft since 6, and as JSON."""
    known = {
        "$schema", "title", "type", "properties", "additionalProperties", "description", "default", "pattern", "enum",
        "items", "minItems", "required", "anyOf", "propertyNames", "minimum", "maximum",
    }  # fmt: skip

    def keywords(node: Any) -> set[str]:
        if not isinstance(node, dict):
            return set()
        own = set(node)
        for key, child in node.items():
            children = child.values() if key == "properties" else child if isinstance(child, list) else [child]
            own |= {word for one in children for word in keywords(one)}
        return own

    schema = json.loads(json.dumps(config.schema()))
    assert keywords(schema) <= known
    assert schema["properties"]["rules"]["items"]["required"] == ["namespaces"]
