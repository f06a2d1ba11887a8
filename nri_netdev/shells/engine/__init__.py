"""The engine: the connection to containerd or CRI-O, and the translation of its messages."""
