"""The benchmark: this daemon and a Go plugin, in turn, under NRI's own engine side. Run by `make bench`."""
