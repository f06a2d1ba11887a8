"""Facets: everything that the kernel tells of an interface, each kind read, compared and put back by itself."""
