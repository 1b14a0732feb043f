"""A page as JSON that is safe inside an HTML document.

In: a `Page`, or any of its parts. Out: plain data (`plain`), or a text (`as_json`) in which nothing
can end the script element around it. Numbers keep ten significant digits; JSON has no numbers that
are not finite, so these are words.

    >>> plain(Table(("loss",), ((float("nan"),),)))["rows"]
    [['NaN']]
    >>> as_json({"name": "</script>"})
    '{"name":"\\\\u003c/script\\\\u003e"}'
"""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from unfold.page.document import BLOCKS, Table

__all__ = ["Table", "as_json", "plain"]

DIGITS = 10
_SURROGATES = re.compile("[\ud800-\udfff]")
_UNSAFE = re.compile("[<>&\u2028\u2029\x7f-\x9f]")


def plain(value: Any) -> Any:
    """Return data of lists, dictionaries, texts and finite numbers; a block says which it is."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _number(float(value))
    if is_dataclass(value) and not isinstance(value, type):
        kind = {"block": type(value).__name__} if isinstance(value, BLOCKS) else {}
        return kind | {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    return [plain(v) for v in cast(Iterable[Any], value)]


def _number(value: float) -> float | int | str:
    """Return a number without digits that nobody reads, or the word for one that is not finite."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    short = float(f"{value:.{DIGITS}g}")
    whole = int(short)
    return whole if whole == short and abs(whole) < 1e15 else short


def as_json(value: Any) -> str:
    """Return JSON for the inside of a script element."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
