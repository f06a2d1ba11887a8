from tests.e2e.test_as_asked import *
from tests.e2e.test_as_asked import _daemon
def test_x(node, crictl):
    dressed(node, "nic1", "nic2", "nic3")
    with node.daemon(config=GENEROUS, program=(*DYING, "none", "run")) as daemon:
        pod = crictl.run_pod("web", annotations={KEY: ASKED + SHARED})
        crictl.run(pod, "app")
        print(leases(node))
        crictl.delete_pod(pod)
        wait_until(lambda: claims(node) == [], timeout_s=10, what="home")
        import time
        print(leases(node))
        time.sleep(6)
        print(leases(node))
        print(node.machine.run("sh","-c","head -100 /var/lib/cni/networks/nri-netdev/*"))
        print(daemon.log_text())
    assert 0
