"""Layers that are written down as a formula, without a class.

Formula(
    "y[b, o] = sum[i]((x[b, i] - center[o, i])**2)",
    sizes={"o": 10},
    parameters={"center": GlorotUniform()},
)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace

from compiler.errors import CompilerBug, ModelError, Problem
from compiler.language.formula.infer import infer_shapes
from compiler.language.formula.parser import parse_formula
from compiler.language.formula.scope import BATCH_AXIS, RESERVED, UNKNOWN, Operand
from compiler.language.formula.spelling import normalised, with_normalised_keys
from compiler.language.formula.syntax import Read, Statement, walk
from compiler.language.initializers.base import Initializer
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.checks import initializer, is_integer, is_number, regularizer, wrong

_NUMBERED = re.compile(r"[xy][1-9][0-9]*")


@dataclass(frozen=True)
class Formula(Layer):
    """A layer that is its formula (docs/formulas.md).

    The formula reads the input as `x`, several as `x1`, `x2`, …, or by the names in `inputs`, and defines
    `y`, or for several results `y1`, `y2`, …. The shapes of results and parameters are inferred from the
    inputs' and from `sizes`, extents of axes by name. `parameters` holds an initializer for each parameter,
    or a Parameter where more is to be said; there a size of -1, or a shape of None, is inferred too.
    `inference` is the formula outside training, where it differs. `state` are tensors like parameters that
    the formula itself updates (see Forward).
    """

    formula: str
    _: KW_ONLY
    sizes: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, Parameter | Initializer] = field(default_factory=dict)
    state: Mapping[str, Parameter | Initializer] = field(default_factory=dict)
    constants: Mapping[str, int | float] = field(default_factory=dict)
    inference: str | None = None
    inputs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("sizes", "parameters", "state", "constants"):
            given = getattr(self, key)
            if isinstance(given, Mapping):
                object.__setattr__(self, key, with_normalised_keys(given))
        if isinstance(self.inputs, tuple | list) and all(isinstance(name, str) for name in self.inputs):
            object.__setattr__(self, "inputs", tuple(map(normalised, self.inputs)))

    @property
    def arity(self) -> tuple[int, int | None]:
        number = len(self._input_names())
        return number, number

    @property
    def outputs(self) -> int:
        targets = [statement.target for statement in self._statements()]
        return 1 if "y" in targets else max(1, _highest("y", targets))

    def problems(self) -> Iterator[Problem]:
        yield from _name_problems(self)
        for key, value in dict(self.sizes).items():
            if not is_integer(value) or value < 1:
                yield wrong(f"size of {key}", "a positive integer", value)
        for key, number in dict(self.constants).items():
            if not is_number(number):
                yield wrong(f"constant {key}", "a number", number)
        for key, kept in {**self.parameters, **self.state}.items():
            yield from parameter_problems(key, kept)

    def forward(self, *shapes: Shape) -> Forward:
        names = self._input_names()
        operands = {name: Operand(name, (None, *shape)) for name, shape in zip(names, shapes, strict=True)}
        kept = {key: as_parameter(value) for key, value in {**self.parameters, **self.state}.items()}
        unknown = {key: _partial(parameter.shape) for key, parameter in kept.items()}
        found = infer_shapes(
            self.formula, operands=operands, unknown=unknown, constants=self.constants, sizes=self.sizes
        )
        kept = {key: replace(p, shape=_of_all_examples(key, found[key])) for key, p in kept.items()}
        return Forward(
            self.formula,
            _result_shape(found, self.outputs),
            {key: kept[key] for key in self.parameters},
            self.constants,
            self.inference,
            self.sizes,
            names,
            {key: kept[key] for key in self.state},
        )

    def _input_names(self) -> tuple[str, ...]:
        """The names of the inputs: as given, or as the formula reads them."""
        if self.inputs is not None:
            return tuple(self.inputs)
        reads = [node.tensor for s in self._statements() for node in walk(s.value) if isinstance(node, Read)]
        number = _highest("x", reads)
        return tuple(f"x{k + 1}" for k in range(number)) if number else ("x",)

    def _statements(self) -> tuple[Statement, ...]:
        try:
            return parse_formula(self.formula).statements if isinstance(self.formula, str) else ()
        except ModelError:
            # The layer's shapes are asked for next, and there the mistake is reported.
            return ()


def _highest(letter: str, names: Iterable[str]) -> int:
    """The highest number behind this letter, 0 if there is none."""
    numbered = (name for name in names if name[0] == letter and _NUMBERED.fullmatch(name))
    return max((int(name[1:]) for name in numbered), default=0)


def _name_problems(layer: Formula) -> Iterator[Problem]:
    """What is wrong with the formula's type and with names that mean two things."""
    if not isinstance(layer.formula, str):
        yield wrong("formula", 'text, such as "y[...] = x[...]**2"', layer.formula)
    names = layer.inputs
    if names is not None and (
        not isinstance(names, tuple | list) or not names or not all(map(_is_name, names))
    ):
        yield wrong("inputs", 'names, such as ("query", "key")', names)
        names = None
    taken = set(names or ())
    kinds = {"parameter": layer.parameters, "state": layer.state, "constant": layer.constants}
    for kind, keys in {**kinds, "size": layer.sizes}.items():
        for key in keys:
            if not _is_name(key):
                yield wrong(f"name of a {kind}", "a name, such as scale", key)
                continue
            yield from reserved_problems(key)
            if key == BATCH_AXIS and kind in ("constant", "size"):
                yield Problem(f"a {kind} is called {key}, which is the batch axis", expected="another name")
            if normalised(key) in taken:
                yield Problem(f"{key} is the name of two things", found=f"a {kind} of that name as well")
            taken.add(normalised(key))


def reserved_problems(name: str) -> Iterator[Problem]:
    """Whether the formula means something else by this name."""
    if name in RESERVED or name in ("x", "y") or _NUMBERED.fullmatch(name):
        yield Problem(f"the name {name} means something else in a formula", expected="another name")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def parameter_problems(name: str, value: object) -> Iterator[Problem]:
    """What is wrong with the description of one parameter."""
    if isinstance(value, Initializer):
        yield from value.problems()
        return
    if not isinstance(value, Parameter):
        expected = "an initializer, such as GlorotUniform(), or a Parameter(shape, initializer)"
        yield wrong(f"parameter {name}", expected, value)
        return
    if value.shared is not None:
        return
    shape = value.shape
    if shape is not None and not (
        isinstance(shape, tuple) and all(is_integer(n) and (n > 0 or n == -1) for n in shape)
    ):
        yield wrong(f"shape of {name}", "positive integers, -1 for a size that is inferred, or None", shape)
    yield from initializer("initializer of " + name, value.initializer)
    yield from regularizer("regularizer of " + name, value.regularizer)


def as_parameter(value: Parameter | Initializer) -> Parameter:
    """An initializer alone is a parameter whose shape is inferred."""
    return value if isinstance(value, Parameter) else Parameter(None, value)


def _partial(shape: Shape | None) -> tuple[int, ...] | None:
    return None if shape is None else tuple(UNKNOWN if size == -1 else size for size in shape)


def _result_shape(found: Mapping[str, tuple[int | None, ...]], number: int) -> Shape | tuple[Shape, ...]:
    """The shape of `y` without the batch, or those of `y1`, `y2`, …"""
    names = ["y"] if number == 1 else [f"y{k + 1}" for k in range(number)]
    for name in names:
        if name not in found:
            # One result that is called something else has only to be renamed.
            advice = f"{name} instead of {list(found)[-1]}" if number == 1 and found else None
            message, expected = f"the formula never defines {name}", f"{name}[b, …] = …"
            raise ModelError(Problem(message, expected=expected, advice=advice))
    shapes = tuple(_example(name, found[name]) for name in names)
    return shapes[0] if number == 1 else shapes


def _of_all_examples(name: str, shape: tuple[int | None, ...]) -> Shape:
    """The shape of a parameter. Raises CompilerBug where it has a batch axis."""
    sizes = tuple(size for size in shape if size is not None)
    if len(sizes) < len(shape):
        raise CompilerBug(f"the parameter {name} has a batch axis")
    return sizes


def _example(name: str, shape: tuple[int | None, ...]) -> Shape:
    """What is left of a result's shape without the batch."""
    sizes = tuple(size for size in shape[1:] if size is not None)
    if not shape or shape[0] is not None or len(sizes) < len(shape) - 1:
        message = f"the first index of {name} must be the batch axis, and no other"
        raise ModelError(Problem(message, expected=f"{name}[b, …] = …"))
    return sizes
