"""The NRI wire as a sans-I/O protocol: multiplexer, ttrpc and the plugin session. Bytes in, events out."""
