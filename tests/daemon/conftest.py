"""What the tests of the daemon share."""

from tests.daemon.node import node

__all__ = ["node"]
