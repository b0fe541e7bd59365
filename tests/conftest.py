"""What every test stands on: an environment that says nothing of colours or time zones, and children that end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from zoo import Zoo

SCRUBBED = ("NO_COLOR", "COLORTERM", "FORCE_COLOR", "COLUMNS", "LINES")


@pytest.fixture(autouse=True)
def plain_environment() -> Iterator[None]:
    """Also for the processes that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name in SCRUBBED or name.startswith("TEXTUAL")]:
            patch.delenv(name)
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with Zoo() as started:
        yield started
