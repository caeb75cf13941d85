"""Index expressions of a formula -> `Affine`, with every rule that an index must obey."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, Extent, atom_of, axis, constant, floor_div, mod, ravel
from compiler.ir.affine.expression import Read as IntegerRead
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.language.formula.scope import BATCH_AXIS, Operand, Scope
from compiler.language.formula.syntax import Binary, Call, Extents, Name, Negate, Node, Number, Read, walk

_AFFINE = "a sum of axes times integers, `//` and `%` by an integer, ravel(…) or a read of an integer tensor"


def to_affine(node: Node, extents: Extents, scope: Scope) -> Affine:
    """The affine expression of an index. Raises ModelError for anything else than one."""
    match node:
        case Number():
            return constant(_integer_literal(node, scope))
        case Name(name=name):
            return _named(node, name, extents, scope)
        case Negate(operand=operand):
            return -to_affine(operand, extents, scope)
        case Binary(operator=operator, left=left, right=right):
            return _binary(
                node, operator, to_affine(left, extents, scope), to_affine(right, extents, scope), scope
            )
        case Call(function="ravel", arguments=arguments):
            return _ravel(arguments, extents, scope)
        case Call(function="size"):
            extent = size_of(node, extents, scope)
            if extent is None:
                raise scope.error(node.place, "the size of the batch is not known before the program runs")
            return constant(extent)
        case Read():
            return _integer_read(node, extents, scope)
    raise scope.error(node.place, "an index must be affine", expected=_AFFINE)


def axis_value(node: Node, extents: Extents, scope: Scope) -> Affine:
    """The affine expression of a value that is made of axes, such as `i//2`.

    Raises ModelError for a batch axis: which example of the batch this is means nothing.
    """
    value = to_affine(node, extents, scope)
    if any(extents[name] is None for name in _outer_axes(value)):
        raise scope.error(node.place, "the batch axis is an index, not a value")
    return value


def reads_integers_alone(node: Node, scope: Scope) -> bool:
    """Whether every tensor that the node reads is one of integers."""
    reads = [scope.operands.get(inner.tensor) for inner in walk(node) if isinstance(inner, Read)]
    return all(operand is not None and operand.dtype == "index" for operand in reads)


def integer_value(node: Node, scope: Scope) -> int:
    """The value of an expression of integer constants."""
    value = to_affine(node, {}, scope)
    if not value.is_constant:
        raise scope.error(node.place, "this must be an integer constant")
    return value.constant


def size_of(node: Call, extents: Extents, scope: Scope) -> Extent:
    """The extent that `size(axis)` stands for, None for the batch's."""
    match node.arguments:
        case (Name(name=name),) if name in extents:
            return extents[name]
        case (Name(name=name),):
            raise scope.error(
                node.place,
                f"{name} is no axis of this statement",
                expected=f"one of {', '.join(extents)}" if extents else "an axis that is bound here",
                advice=f"the size as a number, or size({name}) in a statement that binds {name}",
            )
    raise scope.error(
        node.place, "size takes one axis", expected="size(i), i being an axis", found=scope.written(node)
    )


def checked_indices(
    read: Read, extents: Extents, scope: Scope, operand: Operand, guards: Sequence[Guard] = ()
) -> tuple[tuple[Affine, ...], bool]:
    """The indices of a read, and whether every one of them is proven to stay inside the tensor wherever
    `guards` hold.

    Raises ModelError for an index that can leave a tensor that is not padded.
    """
    checked = [
        checked_index(node, extent, read, extents, scope, guards)
        for node, extent in zip(read.indices, operand.known_shape, strict=True)
    ]
    return tuple(index for index, _ in checked), all(inside for _, inside in checked)


def checked_index(
    node: Node, extent: Extent, read: Read, extents: Extents, scope: Scope, guards: Sequence[Guard] = ()
) -> tuple[Affine, bool]:
    """One index of a read, at a dimension of this extent, and whether it is proven to stay inside."""
    index = to_affine(node, extents, scope)
    check_batch(node, index, extent, extents, scope)
    if extent is None:
        return index, True
    low, high = index.bounded(extents)
    facts = [fact for guard in guards for fact in facts_of(guard)]
    inside = (low >= 0 and high < extent) or (
        is_nonnegative(index, extents, facts) and is_nonnegative(extent - 1 - index, extents, facts)
    )
    if not inside and read.outside is None:
        advice = None
        if read.tensor in scope.operands:
            # No extent keeps an index from starting below 0.
            other = "a smaller extent" if low >= 0 else f"a choice: … if {scope.written(node)} >= 0 else 0"
            advice = f"pad({read.tensor}, 0)[…], or {other}"
        raise scope.error(
            node.place,
            f"the index {index} can leave {read.tensor}",
            expected=f"0 to {extent - 1}",
            found=f"{low} to {high}",
            advice=advice,
        )
    return index, inside


def check_batch(node: Node, index: Affine, extent: Extent, extents: Extents, scope: Scope) -> None:
    """Raises ModelError for the batch axis at another dimension than the batch's, or another index there."""
    alone = index.single_axis is not None and extents[index.single_axis] is None
    if extent is None and not alone:
        raise scope.error(
            node.place,
            "the batch dimension takes the batch axis alone",
            expected=BATCH_AXIS,
            found=str(index),
        )
    if extent is not None and any(extents[name] is None for name in _outer_axes(index)):
        raise scope.error(
            node.place, "the batch axis can only index a batch dimension", found=f"size {extent}"
        )


def _outer_axes(index: Affine) -> frozenset[str]:
    """The axes of an index, those inside integer reads left out: a label may depend on the batch axis."""
    names: set[str] = set()
    for atom, _ in index.terms:
        if isinstance(atom, str):
            names.add(atom)
        elif not isinstance(atom, IntegerRead):
            names |= _outer_axes(atom.numerator)
    return frozenset(names)


def _integer_literal(node: Number, scope: Scope) -> int:
    if not node.text.isdecimal():
        raise scope.error(node.place, "an index must be an integer", found=node.text)
    return int(node.text)


def _named(node: Node, name: str, extents: Extents, scope: Scope) -> Affine:
    if name in extents:
        return axis(name)
    value = scope.constants.get(name)
    if value is None:
        raise scope.error(
            node.place,
            f"the index {name} is not bound",
            expected=f"{name} on the left side, or bound by a reduction such as sum[{name}](…)",
        )
    if not isinstance(value, int):
        raise scope.error(node.place, "an index must be an integer", found=f"{name} = {value}")
    return constant(value)


def _binary(node: Node, operator: str, left: Affine, right: Affine, scope: Scope) -> Affine:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*" and right.is_constant:
        return left * right.constant
    if operator == "*" and left.is_constant:
        return right * left.constant
    if operator in ("//", "%") and right.is_constant:
        if right.constant < 1:
            raise scope.error(node.place, "an index is divided by a positive integer", found=str(right))
        return (floor_div if operator == "//" else mod)(left, right.constant)
    raise scope.error(node.place, "an index must be affine", expected=_AFFINE)


def _ravel(arguments: tuple[Node, ...], extents: Extents, scope: Scope) -> Affine:
    """Row-major position of several axes; one of extent 1 is always 0 and drops out."""
    shape: list[int] = []
    digits: list[Affine] = []
    for argument in arguments:
        digit = to_affine(argument, extents, scope)
        extent = extents.get(digit.single_axis) if digit.single_axis else None
        if extent is None:
            raise scope.error(argument.place, "ravel takes axes of known extent", found=str(digit))
        shape.append(extent)
        digits.append(digit if extent > 1 else constant(0))
    return ravel(tuple(digits), tuple(shape))


def _integer_read(node: Read, extents: Extents, scope: Scope) -> Affine:
    operand = scope.operand(node)
    if operand.dtype != "index" or operand.limit is None:
        raise scope.error(node.place, f"{node.tensor} is not an integer tensor, so it cannot be an index")
    if node.outside is not None:
        raise scope.error(node.place, "an integer tensor that serves as an index cannot be padded")
    indices, _ = checked_indices(node, extents, scope, operand)
    return atom_of(IntegerRead(operand.name, indices, operand.limit))
