"""What happens to pods, told them as Events of Kubernetes; runs beside the daemon, which does not need it."""
