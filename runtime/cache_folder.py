"""Where downloaded data and built modules are kept, by the custom of each operating system."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The folder of the cache; it need not exist.

    `CHAINRULE_CACHE` if set, else `$XDG_CACHE_HOME/chainrule`, else `~/.cache/chainrule`
    (macOS: `~/Library/Caches/chainrule`; Windows: `%LOCALAPPDATA%\\chainrule\\Cache`).
    """
    if environment.get("CHAINRULE_CACHE"):
        return Path(environment["CHAINRULE_CACHE"])
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "chainrule"
    if platform == "win32" and environment.get("LOCALAPPDATA"):
        return Path(environment["LOCALAPPDATA"]) / "chainrule" / "Cache"
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    if platform == "darwin":
        return home / "Library" / "Caches" / "chainrule"
    return home / ".cache" / "chainrule"
