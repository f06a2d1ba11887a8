"""The state directory: the ledger of claims, and the lock."""
