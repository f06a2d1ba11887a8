"""nri-netdev: host network interfaces for Kubernetes containers, given by NRI and brought home again."""

__version__ = "0.1.0"
