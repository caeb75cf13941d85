"""The plan of the house: who may import whom, and what from outside; test_architecture.py enforces it.

These tables are the rules and the place to extend them.
"""

from __future__ import annotations

# A component is a module or a package with all that it holds; the longest matching name wins.
STAGES = ("compiler.derive", "compiler.passes", "compiler.schedule", "compiler.emit")
PARAMETERS = ("compiler.initializers", "compiler.regularizers")
FORMULAS = ("compiler.layers", "compiler.losses", "compiler.optimizers", *PARAMETERS)
BASE = ("compiler.ir", "compiler.errors")
FRONT = ("compiler.description", *FORMULAS, "compiler.formula", *BASE)
BORDER = tuple(
    f"runtime.{name}" for name in ("beginning", "border", "cache_folder", "errors", "files", "signals")
)
BUILDING = tuple(
    f"compiler.{n}" for n in ("build", "cache", "cache_entry", "isolation", "modes", "switches", "values")
)
LOWERING = ("compiler.lower", "compiler.lowered")
PIPELINE = ("compiler.pipeline", "compiler.programs", "compiler.schedule", "compiler.explain")

# Component → the other components of ours that it may import. Everything may import from its own component.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "compiler": (*FRONT, "runtime.beginning"),  # only compiler/__init__.py, the public face
    # What everything stands on, and the chain from a model to formulas.
    **{"compiler.errors": (), "compiler.ir": ("compiler.errors",)},
    **dict.fromkeys(FORMULAS, ("compiler.formula", "compiler.errors")),
    "compiler.layers": (*PARAMETERS, "compiler.formula", "compiler.errors"),
    "compiler.description": (*FORMULAS, "compiler.formula", "compiler.errors"),
    "compiler.prescan": ("compiler", *FORMULAS, "compiler.errors"),
    "compiler.parse": ("compiler.prescan", "compiler.isolation", *FRONT, *BORDER),
    # The stages: each stands on the representation, and on none of its neighbours.
    **dict.fromkeys((*STAGES, "compiler.formula", "compiler.lowered"), BASE),
    # The pipeline, which alone knows the order of the stages: its parts, each joining two or three of them.
    "compiler.lower": ("compiler.lowered", *FRONT),
    "compiler.programs": ("compiler.lowered", "compiler.derive", "compiler.passes", *BASE),
    "compiler.check": (*LOWERING, "compiler.parse", "compiler.derive", *BASE),
    "compiler.assemble": ("compiler.schedule", "compiler.emit", *BASE),
    "compiler.pipeline": (*LOWERING, "compiler.programs", "compiler.assemble", *FRONT, *STAGES),
    # From a pipeline to a built module and the command line.
    **dict.fromkeys(BUILDING, ("compiler.cache_entry", "compiler.errors", *BORDER)),
    "compiler.values": ("compiler.modes", "compiler.switches", "compiler.errors"),
    "compiler.harness": ("compiler.assemble", "compiler.build", *STAGES, *BASE),
    "compiler.compile_file": ("compiler.parse", *PIPELINE, *BUILDING, *FRONT, *BORDER),
    "compiler.doctor": ("compiler.compile_file", *BUILDING, "compiler.errors", *BORDER),
    "compiler.measure": ("compiler.compile_file", "compiler.build", "compiler.parse", *PIPELINE, *FRONT),
    "compiler.explain": ("compiler.ir", "compiler.formula", "compiler.errors"),
    "compiler.cli": ("compiler", "compiler.compile_file", "compiler.doctor", "compiler.measure",
                     "compiler.check", *BUILDING, *PIPELINE, *FRONT, *BORDER, "runtime", "compiler.built"),
    "compiler.__main__": ("compiler.cli",),
    "compiler.built": ("compiler.compile_file", *BASE, "runtime"),
    **{"setup": (), "runtime": BORDER}, **dict.fromkeys(BORDER, BORDER),  # beside the compiler
    **dict.fromkeys(("models", "benchmarks.models"), ("compiler", *FRONT)),
    "benchmarks": ("generated", "runtime", *BORDER),
}  # fmt: skip

# All stages but emit: the scheduler takes the bodies of terms apart and differentiates nothing.
SCALAR_CALCULUS = ("compiler.check", "compiler.ir", "compiler.formula", *FORMULAS, *STAGES[:3])

# Package from outside → the components that may import it. Applies to compiler and runtime.
OUTSIDE: dict[str, tuple[str, ...]] = {
    "sympy": (*SCALAR_CALCULUS, "compiler.emit.printer", "compiler.emit.expressions"),
    "numpy": ("compiler", "runtime"),
    **{"jax": ("compiler.check",), "jinja2": ("compiler.emit",), "Cython": ("compiler.build",)},
    "mpmath": ("compiler.derive.evaluate", "compiler.emit.elementary", "compiler.emit.minimax"),
}

GENERATED_MAY_IMPORT = {"numpy", "cython", "cpython", "libc", "copy", "importlib", "math", "operator", "os",
                        "sys", "threading", "types", "warnings", "weakref"}  # fmt: skip
UNSAFE_LOADERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
LONGEST_FILE = 350
"""Lines. A longer file holds more than one idea."""
