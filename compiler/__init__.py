"""chainrule: a gradient compiler. The names that model files import.

Each is looked up where all of them are imported (`public.py`) when it is asked for: a command that needs no
layer, such as `derive`, does not wait for them.
"""

from runtime.beginning import begin_command

# Before any import that takes a while: a command that is stopped meanwhile ends quietly.
begin_command("compiler")

TYPE_CHECKING = False  # type checkers know the name; `typing` would take a while
if TYPE_CHECKING:
    from compiler.public import *  # noqa: F403


def __getattr__(name: str) -> object:
    # Python asks packages for names of its own, and `import compiler.x` for what is a module.
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    import compiler.public as public  # `from compiler import` would ask here again

    if name == "__all__":
        return public.public_names()
    if name in public.public_names():
        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    import compiler.public as public  # `from compiler import` would ask here again

    return sorted([*globals(), *public.public_names()])
