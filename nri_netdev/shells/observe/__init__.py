"""What others observe of the daemon: metrics, probes, the status document."""
