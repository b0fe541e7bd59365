"""The command line, one file a command. Knows the core; loads the screen only for the monitor."""
