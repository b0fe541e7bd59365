"""The screen: the only folder that imports Textual. It reads frames; it never asks the system anything."""
