"""A node that the DaemonSet has left, as when nobody has installed it there."""

import contextlib
import json
from collections.abc import Iterator

from tests.e2e.wait import wait_until
from tests.kubernetes.product import DAEMON_SET, Product

_LABEL = "example.com/away"
"""No node has it."""


@contextlib.contextmanager
def away(product: Product) -> Iterator[None]:
    """Have no daemon on the node while a block runs."""
    _select(product, "true")
    try:
        wait_until(lambda: not _all_pods(product), timeout_s=60, what=product.cluster.story)
        yield
    finally:
        _select(product, None)
        wait_until(product.pods, timeout_s=60, what=product.cluster.story)
        product.wait_rolled_out()


def _select(product: Product, value: str | None) -> None:
    patch = {"spec": {"template": {"spec": {"nodeSelector": {_LABEL: value}}}}}
    product.kubectl("patch", DAEMON_SET, f"--patch={json.dumps(patch)}")


def _all_pods(product: Product) -> bool:
    """Whether there are pods, those that end included."""
    return bool(product.cluster.get("pods", "-n", "nri-netdev")["items"])
