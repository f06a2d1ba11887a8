"""Every kind of workload with an interface, as `kubectl apply` makes it and `kubectl` shows it."""

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.nics import ADDRESSES, Nics
from tests.kubernetes.objects import pod
from tests.kubernetes.product import Product


def test_a_pod(product: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """The main job: the interface is in the pod under its name, up, with its addresses, and comes home."""
    nics.add("nic0")
    cluster.apply(pod("web", namespace, asked={"app": "- {interface: nic0, name: net1}"}))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "-n", namespace)
    said = cluster.kubectl("exec", "-n", namespace, "web", "--", "ip", "address", "show", "net1")

    assert all(address in said for address in ADDRESSES)
    assert ",UP," in said
    assert nics.node.link("nic0") is None
    cluster.kubectl("delete", "pod", "web", "-n", namespace)
    assert nics.is_home()
