"""NRI's wire without I/O: bytes in, events out, for the plugin's side of a connection.

Imports nothing of the rest but errors and messages, and can be used without it.
"""
