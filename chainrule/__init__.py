"""chainrule: a gradient compiler. The one name to import: what model files are written with, and `compile`.

    from chainrule import Adam, CrossEntropy, Dense, Input, Sequential, Softmax
    net = chainrule.compile(model).Network(seed=0)

In: nothing. Out: every public name of `compiler`, and what compiles from Python. No logic may enter: each
name is looked up where it is made, when it is asked for, so that the import takes no time.
"""

from runtime.beginning import begin_command

# Before everything else: a command that is stopped meanwhile ends quietly.
begin_command("chainrule")

from runtime.distributed.uncaught import watch  # noqa: E402

# One of several processes that fails must not leave the others waiting for it.
watch()


_OF_RUNTIME = {
    "fit": "runtime.trainer",
    "evaluate": "runtime.evaluation",
    "predict": "runtime.prediction",
    "Diagnose": "runtime.diagnosis",
    **dict.fromkeys(("save_checkpoint", "load_checkpoint", "load_weights"), "runtime.checkpoint"),
}
"""What is done with networks, and where it is made; besides all that `runtime.callbacks` has."""


def __getattr__(name: str) -> object:
    if name == "compile":
        from compiler.toolchain.from_python import compile

        return compile
    if name == "derive":
        from compiler.tools.derive.api import derive

        return derive
    if name in _OF_RUNTIME:
        from importlib import import_module

        return getattr(import_module(_OF_RUNTIME[name]), name)
    # Python and its tools ask modules for names of their own; the compiler is not imported for these.
    if not name.startswith("__") or name == "__all__":
        import compiler

        if name == "__all__" or name in compiler.__all__:
            return getattr(compiler, name)

        import runtime.callbacks

        if name in runtime.callbacks.__all__:
            return getattr(runtime.callbacks, name)
    if name in ("ChainruleClassifier", "ChainruleRegressor"):
        import chainrule.sklearn

        return getattr(chainrule.sklearn, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("chainrule")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_near(name)}", name=name)


def _near(name: str) -> str:
    """What was probably meant."""
    from difflib import get_close_matches

    near = [] if name.startswith("__") else get_close_matches(name, __dir__(), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def __dir__() -> list[str]:
    import compiler
    import runtime.callbacks

    names = [*compiler.__all__, *runtime.callbacks.__all__, *_OF_RUNTIME]
    return sorted([*globals(), *names, "compile", "__version__"])
