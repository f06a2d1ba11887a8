"""Names of interfaces, quoting, YAML with positions, and the shapes that documents must have."""
