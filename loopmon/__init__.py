"""loopmon: a terminal monitor of everything that talks over loopback on this machine."""

__version__ = "0.1.0"
