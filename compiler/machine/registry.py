"""Finds targets: each is a file of the folder `targets/` that holds a `TARGET`, and nothing else names it.

`native` asks the C compiler what this processor has, since the compiler, not Python, decides which
instructions it will emit.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from compiler.errors import CompilerBug
from compiler.machine import targets
from compiler.machine.target import Processor, Target


def all_targets() -> dict[str, Target]:
    """Targets by name, the widest vectors first, then by name. Raises CompilerBug if two have one name."""
    modules = [import_module(f"{targets.__name__}.{found.name}") for found in iter_modules(targets.__path__)]
    found = sorted((module.TARGET for module in modules), key=lambda t: (-t.machine.vector_bytes, t.name))
    by_name = {target.name: target for target in found}
    if len(by_name) < len(found) or "native" in by_name:
        raise CompilerBug(f"two targets of one name among {', '.join(target.name for target in found)}")
    return by_name


def processors() -> dict[str, tuple[Target, Processor]]:
    """Every machine model that `native` can mean, by name, and the target that it is of."""
    return {p.name: (target, p) for target in all_targets().values() for p in target.processors}


def native_flags(architecture: str) -> tuple[str, ...]:
    """What the C compiler is told to describe and use this processor; `architecture` as Python calls it."""
    matching = (t for t in all_targets().values() if architecture.lower() in t.architectures)
    return next((target.native_flags for target in matching), ())


def native_target(macros: frozenset[str]) -> Target:
    """The target that a C compiler describes by its predefined macros: of all that fit, what asks for most.

    Raises CompilerBug if no target takes a processor of which nothing is known.
    """
    known = [
        (len(wanted), target, processor)
        for target, processor in processors().values()
        for wanted in processor.known_by
        if macros.issuperset(wanted)
    ]
    if not known:
        raise CompilerBug("no target is for a processor of which nothing is known")
    _, target, processor = max(known, key=lambda row: row[0])
    return target.native(processor, macros)
