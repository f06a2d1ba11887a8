"""Custody, the application: every claim of the node, from the promise until the interface is home."""
