"""``python -m loopmon`` and the ``loopmon`` command."""

from __future__ import annotations

import sys


def main() -> None:
    from loopmon.commands.front import run

    sys.exit(run())


if __name__ == "__main__":
    main()
