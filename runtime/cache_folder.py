"""Where downloaded data and built modules are kept, by the custom of each operating system."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder of the cache; it need not exist.

    `CHAINRULE_CACHE` if set, else by platformdirs: `$XDG_CACHE_HOME/chainrule` or `~/.cache/chainrule`;
    on macOS `~/Library/Caches/chainrule`; on Windows `%LOCALAPPDATA%\\chainrule\\Cache`.
    """
    own = os.environ.get("CHAINRULE_CACHE")
    return Path(own) if own else platformdirs.user_cache_path("chainrule", appauthor=False)
