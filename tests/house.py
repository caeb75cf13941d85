"""The plan of the house: who may import whom, and what from outside; test_architecture.py enforces it.

These tables are the rules and the place to extend them.
"""

from __future__ import annotations

# A component is a module or a package with all that it holds; the longest matching name wins.
IR = ("compiler.ir.affine", "compiler.ir.scalar", "compiler.ir.tensor")
MODULE = "compiler.ir.module"
BASE = (*IR, "compiler.errors")
PARAMETERS = (
    "compiler.language.initializers",
    "compiler.language.regularizers",
    "compiler.language.constraints",
)
FORMULAS = (
    "compiler.language.layers",
    "compiler.language.losses",
    "compiler.language.optimizers",
    "compiler.language.metrics",
    "compiler.language.schedules",
    *PARAMETERS,
)
FORMULA = ("compiler.language.formula", "compiler.errors")
WHOLE = tuple(
    f"compiler.language.{name}"
    for name in ("boundary", "objectives", "measures", "fingerprint", "derivative", "memory")
)
LANGUAGE = ("compiler.language.description", *WHOLE, *FORMULAS, *FORMULA)
LOWERING = tuple(
    f"compiler.frontend.{name}"
    for name in (
        "lower",
        "lower_losses",
        "lower_metrics",
        "lower_update",
        "joining",
        "lowered",
        "number_range",
    )
)
# What the model itself differentiates by is a part of its program.
DERIVING = ("compiler.frontend.lower_derivative",)
STAGES = (
    *("compiler.derive", "compiler.simplify", "compiler.passes"),
    *("compiler.machine", "compiler.schedule", "compiler.plan"),
)
BORDER = tuple(
    f"runtime.{name}" for name in ("beginning", "border", "cache_folder", "errors", "files", "signals")
)
OPTIONS = ("compiler.modes",)
DRIVING = ("compiler.facts", "compiler.pipeline", "compiler.driver")
BUILDING = tuple(
    f"compiler.toolchain.{name}"
    for name in (
        "apart",
        "build",
        "cache",
        "cache_entry",
        "interpreted",
        "processes",
        "translation",
        "units",
        "versions",
    )
)
COMPILING = (
    "compiler.toolchain.compile_file",
    "compiler.frontend.parse",
    "compiler.module_source",
    "compiler.plan",
)

# Component → the other components of ours that it may import. Everything may import from its own component.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    # The name that users import: no logic, only where to find what.
    "chainrule": (
        *("compiler", "compiler.toolchain.from_python", "compiler.tools.derive", "compiler.tools.testing"),
        *("compiler.cli", "runtime", "runtime.beginning", "chainrule.sklearn"),
    ),
    # Estimators compile and train: the one room that stands on both.
    "chainrule.sklearn": ("chainrule", "compiler", "compiler.toolchain.from_python", "runtime", *BORDER),
    "compiler": (
        "compiler.public",
        *LANGUAGE,
        "runtime.beginning",
    ),  # only compiler/__init__.py, the public face
    "compiler.public": LANGUAGE,
    # What everything stands on.
    "compiler.errors": (),
    "compiler.machine": ("compiler.errors",),
    "compiler.ir": (),
    **dict.fromkeys(("compiler.ir.affine", "compiler.ir.scalar"), ("compiler.errors",)),
    "compiler.ir.tensor": ("compiler.ir.affine", "compiler.ir.scalar", "compiler.errors"),
    "compiler.ir.loops": BASE,
    MODULE: ("compiler.ir.loops", *BASE),
    # From a model to tensor programs.
    "compiler.language": (),
    "compiler.language.formula": BASE,
    **dict.fromkeys(FORMULAS, FORMULA),
    "compiler.language.layers": (*PARAMETERS, *FORMULA),
    "compiler.language.optimizers": ("compiler.language.schedules", *FORMULA),
    "compiler.language.metrics": ("compiler.language.losses", *FORMULA),
    **dict.fromkeys(("compiler.language.description", *WHOLE), (*WHOLE, *FORMULAS, *FORMULA)),
    "compiler.frontend": (),
    "compiler.frontend.isolation": ("compiler.errors", *BORDER),
    "compiler.frontend.prescan": ("compiler", *FORMULAS, "compiler.errors"),
    "compiler.frontend.parse": (
        "compiler.frontend.prescan",
        "compiler.frontend.isolation",
        *LANGUAGE,
        *BORDER,
    ),
    "compiler.frontend.lowered": (MODULE, *BASE),
    "compiler.frontend.number_range": ("compiler.frontend.lowered", *BASE),
    **dict.fromkeys(LOWERING[:5], (*LOWERING[1:6], *DERIVING, MODULE, *LANGUAGE, *BASE)),
    **dict.fromkeys(
        DERIVING, ("compiler.derive", "compiler.frontend.joining", "compiler.language.formula", *BASE)
    ),
    # The stages: each stands on the representations, and on none of its neighbours; a plan on its schedules.
    **dict.fromkeys(("compiler.derive", "compiler.simplify", "compiler.passes"), BASE),
    "compiler.schedule": ("compiler.machine", "compiler.ir.loops", *BASE),
    "compiler.plan": ("compiler.machine", "compiler.schedule", "compiler.ir.loops", MODULE, *BASE),
    "compiler.show": BASE,
    "compiler.emit": (
        "compiler.show",
        *("compiler.machine", "compiler.schedule", "compiler.plan", "compiler.ir.loops", MODULE, *BASE),
    ),
    # The table of passes, which alone knows their order, and what goes through it.
    "compiler.facts": ("compiler.machine", "compiler.schedule", "compiler.plan", *BASE),
    "compiler.pipeline": ("compiler.facts", *STAGES, *BASE),
    "compiler.pricing": ("compiler.machine", "compiler.schedule", *BASE),
    "compiler.driver": (
        *("compiler.facts", "compiler.pipeline", "compiler.pricing"),
        *("compiler.machine", "compiler.plan", "compiler.schedule"),
        *BASE,
    ),
    "compiler.entry_points": (
        "compiler.diagnosis",
        "compiler.products",
        "compiler.frontend.lowered",
        "compiler.offers",
        *DRIVING,
        MODULE,
        *BASE,
    ),
    "compiler.offers": (MODULE,),
    "compiler.products": ("compiler.derive", "compiler.frontend.lowered", *DRIVING, MODULE, *BASE),
    "compiler.diagnosis": ("compiler.frontend.lowered", *DRIVING, MODULE, *BASE),
    "compiler.module_source": (
        *LOWERING,
        *(*DRIVING, "compiler.pricing", "compiler.entry_points", "compiler.offers", "compiler.emit", MODULE),
        "compiler.stopwatch",
        *LANGUAGE,
        *STAGES,
        *BASE,
    ),
    # From a pipeline to a built module and the command line.
    **dict.fromkeys(OPTIONS, ("compiler.errors",)),
    "compiler.stopwatch": (),
    "compiler.toolchain": (),
    **dict.fromkeys(BUILDING, (*BUILDING, "compiler.errors", *BORDER)),
    "compiler.toolchain.compile_file": (
        *(*COMPILING[1:], *DRIVING, "compiler.machine", "compiler.stopwatch", "compiler.toolchain.measured"),
        *(*BUILDING, *OPTIONS, *LANGUAGE, *BORDER),
    ),
    "compiler.toolchain.measured": ("compiler.machine", *BUILDING, *BORDER),
    "compiler.toolchain.from_python": (
        *("compiler.toolchain.built", "compiler.toolchain.compile_file", "compiler.pipeline"),
        *("compiler.machine", *OPTIONS, *LANGUAGE),
    ),
    "compiler.toolchain.doctor": (
        *("compiler.toolchain.compile_file", "compiler.toolchain.measured", "compiler.machine"),
        *(*BUILDING, "compiler.errors", *BORDER),
    ),
    "compiler.toolchain.built": ("compiler.toolchain.compile_file", *LANGUAGE, *BASE, "runtime"),
    "compiler.tools": (),
    "compiler.tools.words": (),
    "compiler.tools.new_model": ("compiler.language.description", "compiler.errors"),
    "compiler.tools.pass_table": (*DRIVING, *BASE),
    "compiler.tools.timings": ("compiler.driver", "compiler.stopwatch"),
    "compiler.tools.watch": (
        *("compiler.tools.pass_table", "compiler.tools.timings"),
        *("compiler.driver", "compiler.stopwatch"),
    ),
    "compiler.tools.summary": (
        *(
            "compiler.tools.words",
            *LOWERING,
            "compiler.frontend.parse",
            "compiler.machine",
            "compiler.schedule",
            *BASE,
        ),
    ),
    "compiler.tools.derive": (
        *("compiler.derive", "compiler.simplify", "compiler.show", "compiler.emit", "compiler.tools.check"),
        *("compiler.language.formula", *BASE),
    ),
    "compiler.tools.testing": ("compiler.derive", "compiler.show", "compiler.tools.derive", *BASE),
    "compiler.tools.check": (
        MODULE,
        *LOWERING,
        "compiler.frontend.parse",
        "compiler.derive",
        "compiler.simplify",
        *BASE,
    ),
    "compiler.tools.compiled": ("compiler.toolchain.compile_file",),
    "compiler.tools.checked": (
        *("compiler.tools.check", "compiler.toolchain.compile_file", "compiler.frontend.isolation"),
        "runtime",
    ),
    "compiler.tools.measure": (
        "compiler.tools.words",
        *COMPILING,
        *("compiler.toolchain.build", "compiler.toolchain.processes"),
        *("compiler.toolchain.doctor", "compiler.toolchain.measured"),
        "compiler.machine",
        "compiler.schedule",
        "compiler.ir.loops",
        MODULE,
        *LANGUAGE,
        *BASE,
    ),
    "compiler.tools.explain": (
        *("compiler.derive", "compiler.show", "compiler.tools.derive", "compiler.tools.check"),
        *("compiler.tools.measure", "compiler.toolchain.from_python", "compiler", "compiler.schedule"),
        *(MODULE, "runtime"),
        *("compiler.tools.words", "compiler.emit", "compiler.toolchain.build", "compiler.machine"),
        *("compiler.frontend.lowered", "compiler.frontend.isolation", "compiler.driver"),
        *(*COMPILING, *BASE),
    ),
    "compiler.values": ("compiler.toolchain.versions", "compiler.pipeline", *OPTIONS, "compiler.errors"),
    "compiler.cli": (
        "compiler.frontend.isolation",
        *("compiler", "compiler.values", "compiler.toolchain.built"),
        *(
            "compiler.tools.measure",
            *(
                "compiler.tools.check",
                "compiler.tools.checked",
                "compiler.tools.compiled",
                "compiler.tools.derive",
                "compiler.tools.explain",
                "compiler.tools.new_model",
                "compiler.tools.pass_table",
                "compiler.tools.summary",
                "compiler.tools.watch",
            ),
            *COMPILING,
            *DRIVING,
            "compiler.machine",
        ),
        *(*BUILDING, *OPTIONS, *LANGUAGE, *BASE, *BORDER, "runtime"),
    ),
    "compiler.__main__": ("compiler.cli",),
    # Beside the compiler.
    **{"setup": (), "runtime": BORDER},
    **dict.fromkeys(BORDER, BORDER),
    **dict.fromkeys(("models", "benchmarks.models"), ("chainrule", "compiler", *LANGUAGE)),
    "benchmarks": ("generated", "runtime", *BORDER),
}

# All stages but emit: the scheduler takes the bodies of terms apart and differentiates nothing.
SCALAR_CALCULUS = (
    "compiler.products",
    *DERIVING,
    "compiler.tools.check",
    "compiler.diagnosis",
    "compiler.frontend.number_range",
    "compiler.tools.derive",
    "compiler.show",
    *IR,
    "compiler.ir.loops",
    "compiler.language",
    *STAGES,
)

# Package from outside → the components that may import it. Applies to compiler and runtime.
OUTSIDE: dict[str, tuple[str, ...]] = {
    "sympy": (
        *SCALAR_CALCULUS,
        *("compiler.emit.cython.statements", "compiler.emit.cython.expressions", "compiler.emit.arrays"),
    ),
    "numpy": ("compiler", "runtime", "chainrule.sklearn"),
    "sklearn": ("chainrule.sklearn",),
    **{
        "jax": ("compiler.tools.check", "compiler.tools.testing"),
        "torch": ("compiler.tools.testing",),
        "jinja2": ("compiler.emit.cython", "compiler.tools.derive", "compiler.tools.explain"),
        "Cython": ("compiler.toolchain.translation",),
        "matplotlib": ("runtime.history",),
        "PIL": ("runtime.confusion", "runtime.data.images"),
        "pyarrow": ("runtime.data.tables",),
        "tensorboardX": ("runtime.callbacks.logging",),
        "rich": ("runtime.progress",),
        "mpi4py": ("runtime.distributed.group",),
        "platformdirs": ("runtime.cache_folder",),
    },
    "mpmath": (
        "compiler.simplify.digits",
        "compiler.simplify.exact",
        "compiler.emit.cython.elementary",
        "compiler.emit.cython.minimax",
    ),
}

GENERATED_MAY_IMPORT = {"numpy", "cython", "cpython", "libc", "copy", "importlib", "math", "operator", "os",
                        "sys", "threading", "types", "warnings", "weakref"}  # fmt: skip
UNSAFE_LOADERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
LONGEST_FILE = 350
"""Lines. A longer file holds more than one idea."""
