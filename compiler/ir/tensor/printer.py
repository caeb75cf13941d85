"""A tensor program as text: what `--dump-after` shows, and what `parser.parse_program` reads back unchanged.

    input image: (batch, 6) real
    parameter kernel: (3,) real
    label answer: (batch,) index < 4

    convolved: (batch, 4) real = sum of "conv1d_1"
        for b:batch, h:4, p:3: [b, h] += kernel[p]*image[b, h + p]

    chosen: (batch,) real = sum
        for b:batch: [b] += convolved[b, answer[b]]

    outputs chosen

Bodies stand with their accesses in place of symbols; a read that may leave its tensor is
`pad(image, -inf)[…]`. A body that SymPy would not build by itself (`Mul(2, x + y, evaluate=False)`) is
printed so that the parser builds exactly it, in function form where no operator says it: `Mul(x[i], 2)`.
"""

from __future__ import annotations

import json
import keyword
import unicodedata
from collections.abc import Mapping

import sympy
from sympy.logic.boolalg import BooleanAtom

from compiler.ir.affine.expression import Affine, Atom, Read
from compiler.ir.affine.expression import Mod as Remainder
from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Both, Comparison, Either, Negated
from compiler.ir.tensor.parser import CONSTANTS, PLAIN_NAME, product, reciprocal, total
from compiler.ir.tensor.program import Access, Axis, Definition, Guard, Program, Shape, Tensor, Term

Limits = Mapping[str, int]
"""For each integer tensor: its values lie in [0, limit)."""

CONDITIONAL, OR, AND, NOT, COMPARE, SUM, PRODUCT, NEGATION, POWER, ATOM = range(10)
"""How tightly a piece of a body binds; Python's own precedences."""

_NAME_OF_CONSTANT = {value: name for name, value in CONSTANTS.items()}


def print_program(program: Program) -> str:
    """The text of a program; equal programs have equal texts."""
    limits = integer_limits(program)
    blocks = ["\n".join(print_input(tensor) for tensor in program.inputs)] if program.inputs else []
    blocks += [print_definition(definition, limits) for definition in program.definitions]
    blocks.append(" ".join(["outputs", ", ".join(map(print_name, program.outputs))]).rstrip())
    return "\n\n".join(blocks) + "\n"


def integer_limits(program: Program) -> dict[str, int]:
    """The limit of every integer tensor: as declared, or the number of points a winner is chosen from."""
    limits = {tensor.name: tensor.limit for tensor in program.inputs if tensor.limit is not None}
    for definition in program.definitions:
        window = window_size(definition)
        if window is not None:
            limits[definition.name] = window
    return limits


def window_size(definition: Definition) -> int | None:
    """From how many points an argmax or argmin chooses; None for any other (or a malformed) definition."""
    if definition.operation not in ("argmax", "argmin") or len(definition.terms) != 1:
        return None
    size = 1
    for reduction in definition.terms[0].reduction_axes:
        if reduction.extent is None:
            return None
        size *= reduction.extent
    return size


def print_input(tensor: Tensor) -> str:
    """One line: `label answer: (batch,) index < 10`."""
    limit = "" if tensor.limit is None else f" < {tensor.limit}"
    stream = f" stream {tensor.stream}" if tensor.stream else ""
    name = print_name(tensor.name)
    shape = print_shape(tensor.shape)
    return f"{tensor.kind} {name}: {shape} {tensor.dtype}{limit}{stream}{_print_source(tensor)}"


def print_definition(definition: Definition, limits: Limits) -> str:
    """A header and one indented line for each term."""
    limit = f" < {limits[definition.name]}" if definition.name in limits else ""
    shape, source = print_shape(definition.shape), _print_source(definition)
    operation = f"{definition.operation}{' at once' if definition.at_once else ''}"
    header = f"{print_name(definition.name)}: {shape} {definition.dtype}{limit} = {operation}{source}"
    terms = [f"    {print_term(term, definition.operation, limits)}" for term in definition.terms]
    return "\n".join([header, *terms])


def _print_source(entry: Tensor | Definition) -> str:
    """Where a tensor comes from: ` of "conv2d_1" as cotangent of conv2d_1.kernel`."""
    origin = f" of {json.dumps(entry.origin)}" if entry.origin else ""
    return origin + (f" as {entry.role} of {print_name(entry.of)}" if entry.role else "")


def print_term(term: Term, operation: str, limits: Limits) -> str:
    """One line: `for b:batch, h:4, p:3: [b, h] += kernel[p]*image[b, h + p]`."""
    axes = ", ".join(map(print_axis, term.axes))
    guards = ", ".join(print_guard(guard, limits) for guard in term.guards)
    head = " ".join(part for part in (axes and f"for {axes}", guards and f"if {guards}") if part)
    target = ", ".join(print_affine(index, limits) for index in term.target)
    accesses = {symbol: print_access(access, limits) for symbol, access in term.reads}
    operator = "+=" if operation == "sum" else f"{operation}="
    statement = f"[{target}] {operator} {print_body(term.body, accesses)}"
    return f"{head}: {statement}" if head else statement


def describe_term(name: str, term: Term, operation: str = "sum") -> str:
    """One line, name first: `y[b, h] += kernel[p]*image[b, h + p]  for b:batch, h:4, p:3`."""
    limits = {read.tensor: read.extent for affine in term.affines() for read in affine.reads}
    accesses = {symbol: print_access(access, limits) for symbol, access in term.reads}
    target = ", ".join(print_affine(index, limits) for index in term.target)
    operator = "+=" if operation == "sum" else f"{operation}="
    axes = ", ".join(map(print_axis, term.axes)) or "one point"
    guards = ", ".join(print_guard(guard, limits) for guard in term.guards)
    body = print_body(term.body, accesses)
    return f"{name}[{target}] {operator} {body}  for {axes}" + (f" if {guards}" if guards else "")


def print_shape(shape: Shape) -> str:
    extents = ", ".join("batch" if extent is None else str(extent) for extent in shape)
    return f"({extents},)" if len(shape) == 1 else f"({extents})"


def print_axis(axis: Axis) -> str:
    text = f"{print_name(axis.name)}:{'batch' if axis.extent is None else axis.extent}"
    if axis.end is None:
        return text
    less = f" - {-axis.end.shift}" if axis.end.shift else ""
    return f"{text} until {print_name(axis.end.lengths)}{less}"


def print_guard(guard: Guard, limits: Limits) -> str:
    text = print_affine(guard.affine, limits)
    if guard.kind == "==" and [type(atom) for atom, _ in guard.affine.terms] == [Remainder]:
        # A remainder that is 0 by itself would be read as a test of kind "%".
        text = f"{text} + 0"
    return f"({text}) % {guard.modulus} == 0" if guard.kind == "%" else f"{text} {guard.kind} 0"


def print_access(access: Access, limits: Limits) -> str:
    indices = ", ".join(print_affine(index, limits) for index in access.indices)
    name = print_name(access.tensor)
    if access.outside is None:
        return f"{name}[{indices}]"
    outside = float(access.outside)
    return f"pad({name}, {int(outside) if outside.is_integer() else outside!r})[{indices}]"


def print_affine(affine: Affine, limits: Limits) -> str:
    """An index: `2*h + p - 1`, `winner[b, h]//2`."""
    text = ""
    for atom, coefficient in affine.terms:
        sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
        factor = f"{abs(coefficient)}*" if abs(coefficient) != 1 else ""
        # `-h//2` is Python for (-h)//2, and `2*h//3` for (2*h)//3.
        alone = isinstance(atom, str | Read) or not (factor or coefficient < 0)
        printed = _print_atom(atom, limits)
        text += sign + factor + (printed if alone else f"({printed})")
    if not text:
        return str(affine.constant)
    if affine.constant:
        text += f" {'-' if affine.constant < 0 else '+'} {abs(affine.constant)}"
    return text


def _print_atom(atom: Atom, limits: Limits) -> str:
    if isinstance(atom, str):
        return print_name(atom)
    if isinstance(atom, Read):
        text = print_access(Access(atom.tensor, atom.indices), limits)
        # Only a program that breaks the rules needs the extent spelled out: it is the tensor's limit.
        return text if limits.get(atom.tensor) == atom.extent else f"bounded({text}, {atom.extent})"
    numerator = print_affine(atom.numerator, limits)
    alone = atom.numerator.constant == 0 and [c for _, c in atom.numerator.terms] == [1]
    operator = "%" if isinstance(atom, Remainder) else "//"
    return f"{numerator if alone else f'({numerator})'}{operator}{atom.divisor}"


def print_name(name: str) -> str:
    """The name itself if it is identifiers joined by dots that the text can hold so, else quoted."""
    parts = name.split(".")
    plain = PLAIN_NAME.fullmatch(name) and unicodedata.is_normalized("NFKC", name)
    words = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    return name if plain and words else _quoted(name)


def _quoted(text: str) -> str:
    """A string literal without any punctuation that means something elsewhere in a line."""
    return '"' + "".join(c if c.isalnum() or c in "_./-" else f"\\U{ord(c):08x}" for c in text) + '"'


def print_body(body: sympy.Basic, accesses: Mapping[sympy.Symbol, str]) -> str:
    """A scalar expression with the printed accesses in place of its symbols."""
    return _Body(accesses).inside(body, CONDITIONAL)


class _Body:
    """Prints one body; each method gives the text and how tightly it binds."""

    def __init__(self, accesses: Mapping[sympy.Symbol, str]):
        self.accesses = accesses

    def inside(self, expression: sympy.Basic, binding: int) -> str:
        """The text, in brackets if it binds less tightly than its surroundings ask for."""
        text, own = self.print(expression)
        return text if own >= binding else f"({text})"

    def print(self, expression: sympy.Basic) -> tuple[str, int]:
        if expression in _NAME_OF_CONSTANT:
            return _NAME_OF_CONSTANT[expression], ATOM
        if isinstance(expression, sympy.Symbol):
            return self.accesses.get(expression, print_name(expression.name)), ATOM
        if isinstance(expression, BooleanAtom):
            return str(bool(expression)), ATOM
        if isinstance(expression, sympy.Number):
            return self.number(expression)
        for kind, method in self.OPERATORS:
            if isinstance(expression, kind):
                return method(self, expression)
        return self.function(expression)

    def number(self, number: sympy.Number) -> tuple[str, int]:
        if isinstance(number, sympy.Float):
            return repr(float(number)), ATOM if number >= 0 else NEGATION
        if not number.is_finite:
            return "-oo", NEGATION
        binding = PRODUCT if number.q != 1 else ATOM if number >= 0 else NEGATION
        return str(number), binding

    def function(self, expression: sympy.Basic) -> tuple[str, int]:
        arguments = ", ".join(self.inside(argument, CONDITIONAL) for argument in expression.args)
        # What is named otherwise than its class says so.
        name = getattr(expression, "name", type(expression).__name__)
        return f"{name}({arguments})", ATOM

    def add(self, expression: sympy.Add) -> tuple[str, int]:
        if any(isinstance(a, sympy.Add) for a in expression.args) or total(expression.args) != expression:
            return self.function(expression)
        text = ""
        for argument in sorted(expression.args, key=_place_in_sum):
            if not text:
                text = self.inside(argument, PRODUCT)
            elif _is_negative(argument):
                text += f" - {self.inside(_negated(argument), PRODUCT)}"
            else:
                text += f" + {self.inside(argument, PRODUCT)}"
        return text, SUM

    def multiply(self, expression: sympy.Mul) -> tuple[str, int]:
        if any(isinstance(a, sympy.Mul) for a in expression.args) or product(expression.args) != expression:
            return self.function(expression)
        coefficient, factors = expression.args[0], expression.args[1:]
        if not coefficient.is_Number:
            coefficient, factors = sympy.S.One, expression.args
        above = [self.inside(f, NEGATION) for f in factors if not _is_denominator(f)]
        below = [self.inside(_inverse(f), POWER) for f in factors if _is_denominator(f)]
        sign = ""
        if coefficient == -1 and above:
            sign = "-"
        elif coefficient != 1 or not above:
            above.insert(0, self.inside(coefficient, PRODUCT))
        return sign + "/".join(["*".join(above), *below]), PRODUCT

    def power(self, expression: sympy.Pow) -> tuple[str, int]:
        base, exponent = expression.args
        if _is_denominator(expression):
            return f"1/{self.inside(_inverse(expression), POWER)}", PRODUCT
        if exponent == sympy.S.Half:
            return f"sqrt({self.inside(base, CONDITIONAL)})", ATOM
        return f"{self.inside(base, ATOM)}**{self.inside(exponent, ATOM)}", POWER

    def comparison(self, condition: Comparison) -> tuple[str, int]:
        left, sign, right = condition.sides
        return f"{self.inside(left, SUM)} {sign} {self.inside(right, SUM)}", COMPARE

    def choice(self, expression: Select) -> tuple[str, int]:
        condition, then, otherwise = expression.args
        last = self.inside(otherwise, CONDITIONAL)
        return f"{self.inside(then, OR)} if {self.inside(condition, OR)} else {last}", CONDITIONAL

    def conjunction(self, expression: Both) -> tuple[str, int]:
        return " and ".join(self.inside(argument, NOT) for argument in expression.args), AND

    def disjunction(self, expression: Either) -> tuple[str, int]:
        return " or ".join(self.inside(argument, AND) for argument in expression.args), OR

    def negation(self, expression: Negated) -> tuple[str, int]:
        return f"not {self.inside(expression.args[0], NOT)}", NOT

    OPERATORS = (
        (sympy.Add, add),
        (sympy.Mul, multiply),
        (sympy.Pow, power),
        (Comparison, comparison),
        (Select, choice),
        (Both, conjunction),
        (Either, disjunction),
        (Negated, negation),
    )


def _is_negative(argument: sympy.Expr) -> bool:
    """Whether a summand is printed behind a minus sign."""
    first = argument.args[0] if isinstance(argument, sympy.Mul) else argument
    return first.is_Number and bool(first < 0) and _negated(_negated(argument)) == argument


def _place_in_sum(argument: sympy.Expr) -> int:
    """Numbers stand behind other summands, and minus signs last: `x**2 + 1`, `1 - x`, `-x - 1`."""
    return 2 * _is_negative(argument) + bool(argument.is_Number)


def _negated(argument: sympy.Expr) -> sympy.Expr:
    factors = argument.args if isinstance(argument, sympy.Mul) else [argument]
    return product([sympy.S.NegativeOne, *factors])


def _is_denominator(factor: sympy.Expr) -> bool:
    """Whether a factor is printed behind a division sign."""
    if not isinstance(factor, sympy.Pow) or not factor.exp.is_Rational or factor.exp >= 0:
        return False
    return reciprocal(_inverse(factor)) == factor


def _inverse(factor: sympy.Pow) -> sympy.Expr:
    return reciprocal(factor)
