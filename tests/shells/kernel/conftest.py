"""A furnished interface, for tests of the way to a pod and home."""

from __future__ import annotations

import pytest

from tests.shells.conftest import Net
from tests.shells.kernel.furniture import KINDS, furnish


@pytest.fixture(params=KINDS)
def furnished(request: pytest.FixtureRequest, home: Net) -> Net:
    """A host with one interface of each kind in turn, `dev0`, that has everything."""
    home.ip("link add other0 type ifb")
    home.ip("link add under0 type ifb")
    for name in ("other0", "under0"):
        home.ip(f"link set {name} up")
    home.ip("addr add 172.31.0.1/24 dev other0")
    home.ip("-6 addr add fd00:31::1/64 dev other0 nodad")
    home.ip(KINDS[request.param])
    if request.param == "veth":
        home.ip("link set peer0 up")
    furnish(home)
    return home
