"""The edge to the API server of Kubernetes; nothing that the daemon needs."""
