"""The imported module of a model: compiled if needed, or as it was built before where nothing can be."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from compiler.errors import ToolchainError
from compiler.language.description import Model
from compiler.toolchain.compile_file import Options, Progress, compile_file, module_of, silent
from runtime.modules import load_module


def built_module(model: Model | str | Path, options: Options, progress: Progress = silent) -> ModuleType:
    """Compile if needed and import the module from where it was put.

    Without a C compiler or a cache, a module serves that was built from this model. Raises as `compile_file`.
    """
    try:
        return load_module(compile_file(model, options, progress).module)
    except (ToolchainError, OSError) as error:
        file, digest = module_of(model, options)
        if not file.is_file():
            raise
        module = load_module(file)
        other = digest != module.MODEL_HASH or options.target not in ("native", module.TARGET)
        if other:
            print(f"note: {file} was built from another model or for another target", file=sys.stderr)
            raise
        why = str(error).splitlines()[0]
        print(f"note: {why}; {file} was built from this model and is used", file=sys.stderr)
        return module
