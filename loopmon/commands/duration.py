"""How long, as people write it: an option's type."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """``30s``, ``500ms``, ``2m``, ``1h``, or seconds without a unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?", str(value), re.ASCII)
        if not found:
            self.fail(f"{value!r} is not a duration such as 30s, 500ms or 2m", param, ctx)
        return float(found[1]) * UNITS_S[found[2] or "s"]
