"""Who is to move interfaces in, as the operator has set it and runtimes have shown it."""

from __future__ import annotations

from nri_netdev.config.settings import Injection


class InjectionMemory:
    """Who is to move interfaces in, and which runtime handlers are known to ignore what they are asked."""

    def __init__(self, mode: Injection) -> None:
        self.mode = mode
        self._ignorant: set[str] = set()

    @property
    def may_move(self) -> bool:
        """Whether nri-netdev may move what the runtime has left."""
        return self.mode is not Injection.OCI

    def asks(self, handler: str) -> bool:
        """Whether the runtime of this handler is to be asked."""
        return self.mode is Injection.OCI or (self.mode is Injection.AUTO and handler not in self._ignorant)

    def ignored(self, handler: str) -> bool:
        """A handler has ignored what it was asked; whether that is news."""
        is_news = self.asks(handler)
        self._ignorant.add(handler)
        return is_news

    def forget(self) -> None:
        """The engine is another one, perhaps."""
        self._ignorant.clear()
