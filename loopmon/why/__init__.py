"""Why does it not work? Reads what people paste, and explains the port that it is about.

Pure: it is given sockets and never asks for any.
"""
