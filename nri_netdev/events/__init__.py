"""What happens to pods, written as Events of Kubernetes; runs beside the daemon, which does not need it."""
