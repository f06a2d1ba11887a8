"""Values and decisions about network interfaces. Pure: no I/O, no clock, no third party.

The folders are the first steps of a container's path: `annotations` (what is asked), `policy` (who may take what) and
`verdict` (what is given).
"""
