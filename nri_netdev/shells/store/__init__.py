"""What outlives the daemon: the ledger of claims, and the lock of the state directory."""
