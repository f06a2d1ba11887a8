"""How the daemon is observed: metrics, probes, the status document."""
