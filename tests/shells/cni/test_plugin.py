"""IPAM plugins by the protocol of CNI: real ones, and some that misbehave."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.domain.setup.leases import Lease
from nri_netdev.domain.setup.values import AddressSetup, RouteSetup
from nri_netdev.errors import PluginError
from nri_netdev.shells.cni import plugin
from nri_netdev.shells.cni.plugin import DIRECTORIES, Plugins
from tests.domain.setup import test_leases
from tests.e2e.wait import wait_until
from tests.shells.cni.tools import given, only, script, waiting

RESULT = '{"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.7/24"}]}'


def lease(number: int = 1, **ipam: Any) -> Lease:
    """A lease of a claim of its own."""
    plugin = ipam.get("type", "fake")
    mark = f"nri-netdev-{os.getpid():08x}{number:08x}"
    return test_leases.lease(mark=mark, plugin=plugin, document=json.dumps(ipam), result=None, refusal="")


def host_local(number: int, data: Path, *, subnet: str = "192.0.2.0/24", **ipam: Any) -> Lease:
    ranges = [[{"subnet": subnet}]]
    routes = [{"dst": "0.0.0.0/0"}]
    return lease(number, type="host-local", ranges=ranges, routes=routes, dataDir=str(data), **ipam)


def test_host_local(tmp_path: Path) -> None:
    """It gives addresses, no two of which are the same, and takes them back, as often as it is told."""
    plugins, data = Plugins([only(tmp_path / "bin", "host-local")]), tmp_path / "data"
    first, second = host_local(1, data), host_local(2, data)
    result = plugins.add(first)
    assert result.addresses == (AddressSetup(address="192.0.2.2/24"),)
    assert result.gateways == ("192.0.2.1",)
    assert result.routes == (RouteSetup(to="0.0.0.0/0", via="192.0.2.1"),)
    assert plugins.add(second).addresses == (AddressSetup(address="192.0.2.3/24"),)
    assert given(data) == {"192.0.2.2": first.mark, "192.0.2.3": second.mark}
    for _ in range(2):
        plugins.delete(first)
        assert given(data) == {"192.0.2.3": second.mark}


def test_host_local_has_no_more(tmp_path: Path) -> None:
    """Its own words."""
    plugins, data = Plugins([only(tmp_path / "bin", "host-local")]), tmp_path / "data"
    plugins.add(host_local(1, data, subnet="192.0.2.0/30"))
    with pytest.raises(PluginError) as caught:
        plugins.add(host_local(2, data, subnet="192.0.2.0/30"))
    assert str(caught.value) == (
        "the IPAM plugin host-local did not give an address: failed to allocate for range 0: no IP addresses available "
        "in range set: 192.0.2.1-192.0.2.2; see the documentation of the plugin, and check `ipam`"
    )
    assert caught.value.is_answer


def test_two_at_once_never_get_the_same(tmp_path: Path) -> None:
    """However many are asked for at one time."""
    plugins, data = Plugins([only(tmp_path / "bin", "host-local")]), tmp_path / "data"
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(plugins.add, [host_local(number, data) for number in range(64)]))
    assert len({result.addresses for result in results}) == 64
    assert len(given(data)) == 64


def test_static(tmp_path: Path) -> None:
    """It says what it is told, of both families."""
    plugins = Plugins([tmp_path, only(tmp_path / "bin", "static")])
    asked = lease(
        type="static",
        addresses=[
            {"address": "192.0.2.9/24", "gateway": "192.0.2.1"},
            {"address": "2001:db8::9/64", "gateway": "fe80::1"},
        ],
        routes=[{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "198.51.100.0/24", "gw": "192.0.2.3", "mtu": 1400}],
        dns={"nameservers": ["192.0.2.53"]},
    )
    result = plugins.add(asked)
    assert [one.address for one in result.addresses] == ["192.0.2.9/24", "2001:db8::9/64"]
    assert result.routes == (
        RouteSetup(to="0.0.0.0/0", via="192.0.2.1"),
        RouteSetup(to="::/0", via="fe80::1"),
        RouteSetup(to="198.51.100.0/24", via="192.0.2.3", mtu=1400),
    )
    assert json.loads(result.dns) == {"nameservers": ["192.0.2.53"]}
    plugins.delete(asked)


def test_what_a_plugin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of CNI and the lease's key; the configuration on standard input; no shell, no controlling terminal."""
    monkeypatch.setenv("SECRET", "x")
    fake = script(
        tmp_path / "bin/fake",
        'cat > "$here/config"; tr "\\0" "\\n" < /proc/$$/environ > "$here/environ"; '
        'cut -d" " -f5,6 < /proc/$$/stat > "$here/group"; ls /proc/$$/fd > "$here/fds"; pwd > "$here/cwd"\n'
        f"echo '{RESULT}'",
    )
    asked = replace(lease(type="fake", range="a b; $(touch /nowhere)"), key="5ec3e7")
    plugins = Plugins([tmp_path / "nowhere", fake.parent])
    assert plugins.add(asked).addresses == (AddressSetup(address="192.0.2.7/24"),)
    environment = dict(line.split("=", 1) for line in (fake.parent / "environ").read_text().splitlines())
    assert environment == {
        "NRI_NETDEV_LEASE": "5ec3e7",
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": asked.mark,
        "CNI_NETNS": "/run/netns/x",
        "CNI_IFNAME": "net1",
        "CNI_PATH": f"{tmp_path}/nowhere:{fake.parent}",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=p1;"
        "K8S_POD_UID=u1",
        "PATH": environment["PATH"],
    }
    assert json.loads((fake.parent / "config").read_text()) == {
        "cniVersion": "1.0.0",
        "name": "nri-netdev",
        "type": "nri-netdev",
        "ipam": {"type": "fake", "range": "a b; $(touch /nowhere)"},
    }
    group, session = (fake.parent / "group").read_text().split()
    assert group == session != str(os.getpgid(0))
    assert (fake.parent / "cwd").read_text() == "/\n"
    plugins.delete(asked)
    assert "CNI_COMMAND=DEL\n" in (fake.parent / "environ").read_text()


def test_a_netns_whose_path_leads_to_ours_by_now(tmp_path: Path) -> None:
    """A pid may be another's when the address is taken back; the real plugin would fail for ever."""
    plugins, data = Plugins([only(tmp_path / "bin", "host-local")]), tmp_path / "data"
    asked = host_local(1, data)
    plugins.add(asked)
    plugins.delete(replace(asked, netns_path=f"/proc/{os.getpid()}/ns/net"))
    assert given(data) == {}


def test_no_name_smuggles_an_argument(tmp_path: Path) -> None:
    """What would be read as another argument is left out."""
    fake = script(tmp_path / "bin/fake", f'echo "$CNI_ARGS" > "$here/arguments"; echo \'{RESULT}\'')
    asked = test_leases.lease(plugin="fake", document="{}", pod="web;IP=192.0.2.99", namespace="a=b", pod_uid="")
    Plugins([fake.parent]).add(asked)
    assert (fake.parent / "arguments").read_text() == "IgnoreUnknown=1;K8S_POD_INFRA_CONTAINER_ID=p1\n"


@pytest.mark.parametrize(
    ("text", "reason", "is_answer"),
    [
        ('echo \'{"code": 7, "msg": "wrong range", "details": "of yours"}\'; exit 1', "wrong range (of yours)", True),
        ('echo \'{"code": 11, "msg": "later", "details": ""}\'; exit 1', "later", True),
        ('echo \'{"code": "x", "msg": "later", "details": 7}\'; exit 1', "later", True),
        ("echo 'bad day\nfor us' >&2; echo '{}'; exit 3", "it ended with status 3: bad day for us", True),
        ("printf '\\377'; exit 3", "it ended with status 3: \ufffd", True),
        ('echo \'{"msg": "\\\\ud800"}\'; exit 3', "?", True),
        ("exit 3", "it ended with status 3: without a word", True),
        ("kill -9 $$", "it ended with signal 9: without a word", False),
        ("echo hello", "its result cannot be used: it is not JSON", False),
        ("exec 0<&-; exec 1>&-", "its result cannot be used: it is not JSON", False),
    ],
)
def test_a_plugin_that_fails(tmp_path: Path, text: str, reason: str, is_answer: bool) -> None:
    """Its own words, in one line; else how it ended."""
    fake = script(tmp_path / "bin/fake", text)
    with pytest.raises(PluginError) as caught:
        Plugins([fake.parent]).add(lease(type="fake"))
    error = caught.value
    assert error.reason.startswith(reason)
    assert (error.plugin, error.command, error.has_run, error.is_answer) == ("fake", "ADD", True, is_answer)
    assert error.hint


def test_a_long_speech_is_cut(tmp_path: Path) -> None:
    """It ends in an event of a pod."""
    fake = script(tmp_path / "bin/fake", "seq 100000; exit 1")
    with pytest.raises(PluginError) as caught:
        Plugins([fake.parent]).delete(lease(type="fake"))
    assert str(caught.value).startswith(
        "the IPAM plugin fake did not take an address back: it ended with status 1: 1 2 3"
    )
    assert len(caught.value.reason) < 1100


def test_what_hints_say(tmp_path: Path) -> None:
    """An old plugin needs another version."""
    fake = script(tmp_path / "bin/fake", 'echo \'{"code": 1, "msg": "incompatible CNI versions"}\'; exit 1')
    with pytest.raises(PluginError, match=r"CNI versions; it does not know CNI 1\.0\.0: install a newer one"):
        Plugins([fake.parent]).add(lease(type="fake"))


def test_a_plugin_that_hangs(tmp_path: Path) -> None:
    """It is killed with all that it has started."""
    (tmp_path / "bin").mkdir()
    os.mkfifo(tmp_path / "bin/never")
    fake = script(tmp_path / "bin/fake", 'sh -c \'echo $$ > "$0/child"; read x < "$0/never"\' "$here"; echo done')
    plugins = Plugins([fake.parent], add_limit_s=2.0, delete_limit_s=2.0)
    for command in (plugins.add, plugins.delete):
        with pytest.raises(
            PluginError, match=r"it took longer than 2 s and was killed; see what it waits for"
        ) as caught:
            command(lease(type="fake"))
        assert (caught.value.has_run, caught.value.is_answer) == (True, False)
        child = int((fake.parent / "child").read_text())
        wait_until(lambda: is_over(child), timeout_s=10, what="the end of its child")  # noqa: B023 - called at once


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("name", ["../bin/fake", "/bin/sh", "", ".", "..", "a b", "fa\nke", "bridge", "absent"])
def test_no_other_program_is_run(tmp_path: Path, name: str) -> None:
    """None by a path, none that sets up interfaces, none that is not there; the error says what there is."""
    for there in ("fake", "bridge", "other"):
        script(tmp_path / "bin" / there, 'touch "$here/ran"; exit 1')
    (tmp_path / "bin/readme").touch()
    (tmp_path / "bin/directory").mkdir()
    asked = test_leases.lease(plugin=name, document="{}")
    for command in (Plugins([tmp_path / "bin", tmp_path]).add, Plugins([tmp_path / "bin"]).delete):
        with pytest.raises(PluginError, match="the IPAM plugins there are fake, other") as caught:
            command(asked)
        assert not caught.value.has_run
    assert not (tmp_path / "bin/ran").exists()


def test_none_is_there(tmp_path: Path) -> None:
    """The error says where they were looked for."""
    with pytest.raises(PluginError) as caught:
        Plugins([tmp_path / "a", tmp_path / "b"]).add(lease(type="host-local"))
    assert str(caught.value) == (
        f"the IPAM plugin host-local did not give an address: it is in none of {tmp_path}/a, {tmp_path}/b; install it "
        "on the node; there is no IPAM plugin there"
    )
    assert Plugins()._directories == DIRECTORIES


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    """It cannot be run, so it has done nothing."""
    fake = script(tmp_path / "bin/fake", "")
    fake.write_bytes(b"\x7fELF rubbish")
    with pytest.raises(PluginError, match=r"bin/fake cannot be run: Exec format error; check that it is for") as caught:
        Plugins([fake.parent]).add(lease(type="fake"))
    assert not caught.value.has_run


def test_an_add_that_another_daemon_has_begun_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would give an address after the DEL, for ever."""
    waits = waiting(monkeypatch)
    (tmp_path / "bin").mkdir()
    os.mkfifo(tmp_path / "bin/go")
    os.mkfifo(tmp_path / "bin/begun")
    fake = script(
        tmp_path / "bin/fake",
        f'cat > /dev/null; if [ $CNI_COMMAND = ADD ]; then echo x > "$here/begun"; read x < "$here/go"; fi\n'
        f"echo $CNI_COMMAND >> \"$here/log\"; echo '{RESULT}'",
    )
    asked, plugins = lease(type="fake"), Plugins([fake.parent])
    threads = [
        threading.Thread(target=plugins.add, args=[asked]),
        threading.Thread(target=plugins.delete, args=[asked]),
    ]
    threads[0].start()
    (fake.parent / "begun").read_text()
    threads[1].start()
    assert waits.wait(20)
    (fake.parent / "go").write_text("x\n")
    for thread in threads:
        thread.join(20)
    assert (fake.parent / "log").read_text() == "ADD\nDEL\n"


@pytest.mark.parametrize("key", ["5ec3e7", ""])
def test_what_a_pod_knows_pins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """A process of the pod may have its claim's mark in its environment; that counts for leases without a key alone."""
    fake = script(tmp_path / "bin/fake", "exit 0")
    asked = replace(lease(type="fake"), key=key)
    looked_for: list[str] = []
    monkeypatch.setattr(plugin, "outlast", lambda variable, _limit_s: not looked_for.append(variable))
    Plugins([fake.parent]).delete(asked)
    assert looked_for == [f"NRI_NETDEV_LEASE={key}" if key else f"CNI_CONTAINERID={asked.mark}"]
