"""Sockets into a Snapshot: scope, pairing, processes, changes, and the monitor that does it once a tick."""
