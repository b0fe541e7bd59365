"""What is worth looking at in a snapshot: one pure function a rule. Looks at no socket and no process itself."""

from loopmon.findings.judge import Judge

__all__ = ["Judge"]
