"""How environments are named: by Gymnasium's ids, or by a function that makes them."""

from __future__ import annotations

import re

_FUNCTION = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


def is_function(env_id: str) -> bool:
    """Returns whether a name is `package:function`; ids have a version (`package:Name-v0`)."""
    return _FUNCTION.match(env_id) is not None
