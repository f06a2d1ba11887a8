"""The node's kernel: netlink, network namespaces, sysctls, and an interface's way out and home."""
