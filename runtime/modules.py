"""Built modules, imported by their files; the compiler is not needed."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

from runtime.errors import InterfaceError
from runtime.interface import ModelInterface


def load_module(place: str | os.PathLike) -> ModuleType:
    """Import the built module at `place`: its file, or that without its ending, as in `generated/mnist`.

    It is what stands there now, whatever was loaded from that place before. Raises InterfaceError when
    nothing stands there, this Python cannot import it, or chainrule did not generate it.
    """
    file = _module_file(Path(place))
    imported = _imported_from(file)
    if imported is not None:
        return imported.reload()
    # The system knows a loaded library by its path, so each file that ever stood there has a path of its own:
    # the bits of its number, as "//" and "/./". An import by the usual path then finds what stands there.
    bits = "".join("/." if bit == "1" else "/" for bit in f"{file.stat().st_ino:b}")
    spec = importlib.util.spec_from_file_location(
        file.name.partition(".")[0], f"{file.parent.resolve()}{bits}/{file.name}"
    )
    known = spec.name in sys.modules
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError as error:
        raise InterfaceError(
            f"{file} cannot be imported",
            found=str(error),
            advice="compile the model again, on this machine and with this Python",
        ) from error
    module.__file__ = spec.origin = os.path.abspath(file)
    if not known:
        # Cython enters a module by its name, which may be that of a file of the user's.
        sys.modules.pop(spec.name, None)
    ModelInterface.of_module(module)
    return module


def _imported_from(file: Path) -> ModuleType | None:
    """The module that was imported by name from this file: a library makes one module in a process."""
    for module in list(sys.modules.values()):
        facts = vars(module) if isinstance(module, ModuleType) else {}
        ours = "MODEL_HASH" in facts and "reload" in facts
        if ours and os.path.realpath(facts["__file__"]) == os.path.realpath(file):
            return module
    return None


def _module_file(place: Path) -> Path:
    candidates = [place] if place.name.endswith(tuple(EXTENSION_SUFFIXES)) else []
    candidates += [place.with_name(place.name + ending) for ending in EXTENSION_SUFFIXES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    name = place.name.partition(".")[0]
    beside = sorted(path.name for path in place.parent.glob("*") if path.name.partition(".")[0] == name)
    raise InterfaceError(
        f"there is no built module {place}",
        expected=f"the file of a module, or its path without the ending {EXTENSION_SUFFIXES[0]}",
        found=", ".join(beside) or "nothing of this name",
        advice="chainrule compile MODEL.py, with the Python that is to use the module",
    )
