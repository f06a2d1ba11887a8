"""The page of `nri-netdev status`, from documents of the daemon."""

from __future__ import annotations

from typing import Any

from nri_netdev.cli.status_page import page

DOCUMENT: dict[str, Any] = {
    "version": "1.2",
    "pid": 7,
    "started_s": 1_000_000,
    "ready": True,
    "ready_since_s": 1_000_030,
    "trouble": "",
    "socket": "/run/nri.sock",
    "engine": {"name": "containerd", "version": "2.3.4", "nri": "v0.12.0"},
    "containers": {"true": 3, "false": 40},
    "claims": {"planned": 0, "held": 2, "lost": 1},
    "refusals": {"absent": 1},
    "unread": {"count": 2, "keys": [{"pod": "default/web", "key": "nri-netdev.io/container.ap", "reason": "none"}]},
    "latest": [
        {
            "at_s": 1_000_060,
            "event": "create.refused",
            "pod": "default/web",
            "container": "app",
            "reason": "because",
        },
        {"at_s": 1_000_061, "event": "claim.trouble", "ifname": "ens1", "trouble": "it is lost"},
        {"at_s": 1_000_062, "event": "custody.bug"},
    ],
}
PAGE = """\
daemon      nri-netdev 1.2, process 7, up 1 min 30 s
engine      containerd 2.3.4, NRI v0.12.0
socket      /run/nri.sock
ready       yes, since 1970-01-12T13:47:10Z (1 min)
containers  3 with annotations, 40 without
claims      2 held, 1 lost
refused     1 absent
unread      2 annotation keys
            default/web, annotation nri-netdev.io/container.ap: none

1970-01-12T13:47:40Z  create.refused  default/web app: because
1970-01-12T13:47:41Z  claim.trouble  ens1: it is lost
1970-01-12T13:47:42Z  custody.bug  : see the log"""


def test_a_daemon_that_works() -> None:
    """One line for each fact, and one for each latest event."""
    assert page(DOCUMENT, now_s=1_000_090.5) == PAGE


def test_a_daemon_that_does_not() -> None:
    """It says why, or that it does not know; nothing is counted as none."""
    trouble = "cannot open the ledger; move it away"
    idle = {"ready": False, "trouble": trouble, "engine": None, "claims": {}, "refusals": {}, "latest": []}
    idle["unread"] = {"count": 0, "keys": []}
    lines = page(DOCUMENT | idle, now_s=1_000_090).splitlines()
    assert lines[1] == "engine      none connected"
    assert lines[3] == f"ready       no: {trouble}"
    assert lines[5:] == ["claims      none", "refused     none", "unread      none"]
    assert page(DOCUMENT | idle | {"trouble": ""}, now_s=1_000_090).splitlines()[3] == "ready       no"


def test_an_engine_that_does_not_tell_its_nri_version() -> None:
    """Is shown without one."""
    engine = {"name": "cri-o", "version": "1.36.0", "nri": ""}
    assert page(DOCUMENT | {"engine": engine}, now_s=0).splitlines()[1] == "engine      cri-o 1.36.0"
