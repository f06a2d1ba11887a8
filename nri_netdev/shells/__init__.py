"""The edges: the engine connection, rtnetlink, network namespaces, the ledger. Nothing is decided here."""
