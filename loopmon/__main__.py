"""``python -m loopmon`` and the ``loopmon`` command."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from loopmon.commands.front import run

        status = run()
    except KeyboardInterrupt:  # before the front door is there to take it
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
