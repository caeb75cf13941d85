"""What the statements of a formula read: names that must exist, and circles of those that need each other.

    s[b, t] = w[0] * h[b, t - 1] if t >= 1 else 0
    h[b, t] = tanh(x[b, t] + s[b, t])               s reads h, which is defined after it and reads s

A statement may read what is defined before it, and itself and those of its circle at other places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from compiler.errors import ModelError, Problem
from compiler.ir.tensor.components import circles_among
from compiler.language.formula.scope import UNIFORM, Scope
from compiler.language.formula.syntax import Bound, Name, Node, Read, Rest, Statement, moved_axis, walk


def reference_problems(statement: Statement, scope: Scope) -> list[Problem]:
    """Reads of tensors that do not exist, or with a wrong number of indices."""
    problems: list[Problem] = []
    for node in walk(statement.value):
        if not isinstance(node, Read) or node.tensor == UNIFORM:
            continue
        known = scope.operands.get(node.tensor)
        if known is not None and any(isinstance(index, Rest) for index in node.indices):
            continue
        try:
            scope.operand(node)
        except ModelError as error:
            problems += error.problems
    return [*problems, *written_ahead(statement, scope)]


def written_ahead(statement: Statement, scope: Scope) -> Iterator[Problem]:
    """A recurrence that says what comes next, h[t + 1] by h[t], and so nothing of the first."""
    if statement.accumulate or statement.target not in _tensors_of(statement):
        return
    moved = moved_axis(statement.indices)
    if moved is None:
        return
    (name, step), target = moved, statement.target
    advice = f"{_left_side(statement, name)} = … if {name} >= {step} else …, by {target} at {name} - {step}"
    raised = scope.error(
        statement.place,
        f"{target} needs itself, and the first of it is not said",
        expected=f"{name} itself on the left side, and places before it on the right",
        found=f"{name} + {step}",
        advice=advice,
    )
    yield from raised.problems


def _left_side(statement: Statement, name: str) -> str:
    """The left side with plain axes."""

    def plain(index: Node) -> str:
        return "..." if isinstance(index, Rest) else index.name if isinstance(index, Name | Bound) else name

    return f"{statement.target}[{', '.join(map(plain, statement.indices))}]"


def circles_in(statements: Iterable[Statement]) -> dict[str, tuple[str, ...]]:
    """For each tensor that needs itself: the tensors of its circle, in the order of their definitions."""
    reads: dict[str, list[str]] = {}
    for statement in statements:
        reads.setdefault(statement.target, []).extend(_tensors_of(statement))
    return {name: names for names in circles_among(reads) for name in names}


def _tensors_of(statement: Statement) -> Iterator[str]:
    nodes: tuple[Node, ...] = (*statement.indices, statement.value)
    return (inner.tensor for node in nodes for inner in walk(node) if isinstance(inner, Read))


def of_circle(
    statements: Iterable[Statement], circles: Mapping[str, tuple[str, ...]], name: str
) -> tuple[Statement, ...]:
    """The statements that define the circle of `name`."""
    return tuple(s for s in statements if s.target in circles.get(name, ()))


def groups(statements: Iterable[Statement]) -> list[list[Statement]]:
    """Statements in order, neighbouring `+=` statements of one tensor together.

    Those of a circle stand where the last of them is written, which may read what is defined before it;
    what reads a circle that is not complete comes behind it."""
    written: list[list[Statement]] = []
    for statement in statements:
        last = written[-1][-1] if written else None
        if last and last.accumulate and statement.accumulate and last.target == statement.target:
            written[-1].append(statement)
        else:
            written.append([statement])
    circles = circles_in(statement for group in written for statement in group)
    return _when_complete(written, circles) if circles else written


def _when_complete(
    written: list[list[Statement]], circles: Mapping[str, tuple[str, ...]]
) -> list[list[Statement]]:
    missing = {names: {name for name in names} for names in circles.values()}
    ordered: list[list[Statement]] = []
    waiting: list[list[Statement]] = []
    for group in written:
        target = group[0].target
        missing.get(circles.get(target, ()), set()).discard(target)
        waiting.append(group)
        blocked = {name for names, left in missing.items() if left for name in names}
        still: list[list[Statement]] = []
        for one in waiting:
            reads = {tensor for statement in one for tensor in _tensors_of(statement)}
            if one[0].target in blocked or reads & blocked:
                still.append(one)
                blocked.add(one[0].target)
            else:
                ordered.append(one)
        waiting = still
    return [*ordered, *waiting]
