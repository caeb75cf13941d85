"""Which versions of packages are installed."""

from __future__ import annotations


def version_of(package: str) -> str:
    """The installed version of a package, or "none"."""
    # It brings mail and sockets along, and every command starts here.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
