"""Which variables hold secrets, and what is shown in their place. Pure.

Rather one too many than one too few: what is masked wrongly is a key press away.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE|PRIVATE|SIGNATURE|JWT|(?:^|_)PWD$|_PWD_|BEARER", re.I)
LONGEST = 4_096
"""Characters of a value that are looked at; the rest is never shown."""
_PLAIN_NAMES = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY"})
"""They hold paths."""
_CONTENT = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY            # PEM
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.              # JSON web tokens
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b            # AWS
    | \bgh[pousr]_\w{16} | \bgithub_pat_\w{16} # GitHub
    | \bglpat-[\w-]{16}                        # GitLab
    | \bxox[abeoprs]-[\w-]{10}                 # Slack
    | \b(?:sk|pk|rk)[-_][\w-]{16}              # OpenAI, Anthropic, Stripe
    | \bAIza[\w-]{30} | \bya29\.[\w-]{10}      # Google
    | \b(?:npm|pypi)[_-]\w{16}
    | \b(?:bearer|basic)\s+[\w.~+/=-]{8}
    | (?:passw(?:or)?d|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|auth)\w{0,40}["']?\s*[=:]\s*\S
    """,
    re.I | re.X,
)
_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]{0,30}://[^\s/?#:]{0,256}:)(?P<secret>[^\s]+)(?=@)", re.I)
"""To the last ``@``: a password may hold some itself."""


def masked(name: str, value: str, mask: str) -> str:
    """``value``, or ``mask`` for a secret; of a URL with a password only that is masked."""
    if len(value) > LONGEST:
        return f"{masked(name, value[:LONGEST], mask)}… (+{len(value) - LONGEST} characters)"
    if value and name.upper() not in _PLAIN_NAMES and _NAME.search(name):
        return mask
    shown = _URL_PASSWORD.sub(lambda found: found["before"] + mask, value)
    return mask if _CONTENT.search(shown.replace(mask, "")) else shown
