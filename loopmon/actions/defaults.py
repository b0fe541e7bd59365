"""What a stop does where nothing else is said; light to import, as the command line's help needs it."""

TIMEOUT_S = 5.0
"""How long a process may take to end before anybody thinks of KILL."""
KILL_TIMEOUT_S = 2.0
"""How long KILL may take: the kernel ends a process at once, unless it waits for a disk."""
