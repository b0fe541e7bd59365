"""The only code that touches anything: a bind that is undone at once, a connection, later a signal.

Nothing here runs because somebody looks; each is called for one thing that was asked for.
"""
