"""Methods of a network as text: the checks at the door, the routines that run, and what is given back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compiler.ir.module.methods import (
    Absent,
    Action,
    Array,
    Arrays,
    CountStep,
    ExampleGradients,
    Gradients,
    Method,
    Number,
    Numbers,
    Refusal,
    RenewExampleStates,
    RenewStates,
    Run,
    Totals,
    Way,
)
from compiler.ir.module.signature import Row
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.ir.tensor.program import Shape
from compiler.schedule.layout import row_size

TESTS = {
    "no input gradient": "not inputs",
    "input gradient": "inputs",
    "no input tangent": "along_input is None",
    "input tangent": "along_input is not None",
    "nothing frozen": "not self._frozen",
}
"""How a call is told that asks for derivatives by inputs, or does not, or may change all parameters."""


@dataclass(frozen=True)
class Names:
    """What the module calls things of the signature."""

    fields: Mapping[str, str]
    """The field of the Context for each input and label; their constants and checks are called after it."""
    shapes: Mapping[str, str]
    """The constant that holds an example's shape, of each input, label and output."""
    shown: Mapping[str, str]
    """What messages call each input and label."""
    arena: int
    """Values of all parameters, as ARENA."""


def print_method(method: Method | Absent, names: Names) -> str:
    """The whole method, with the indentation of the class."""
    lines = _absent(method) if isinstance(method, Absent) else _method(method, names)
    return "\n".join(f"    {line}" if line else "" for line in lines)


def arguments(method: Method) -> list[tuple[str, str | None]]:
    """Names of a method's arguments, each with its default, None where it has none."""
    result: list[tuple[str, str | None]] = [("x", None)] if method.inputs else []
    result += [("y", None)] if method.labels else []
    # Where tangents follow, which must be given, so must be the None.
    result += [("y", None if method.tangents else "None")] if method.unlabelled else []
    result += [("tangents", None)] if method.tangents else []
    result += [("cotangents", None)] if method.cotangents else []
    result += [("gradients", None)] if method.gradients else []
    result += [("sums", None)] if method.sums else []
    result += [("inputs", "False")] if method.flag else []
    result += [("rows", "None")] if method.rows else []
    result += [("before", "0")] if method.part else []
    result += [("share", "None")] if method.together else []
    return result + [(row.argument, "None") for row in method.optional]


def _absent(method: Absent) -> list[str]:
    return [
        f"def {method.name}(self, *arguments, **named):",
        f'    """Not in this module: it was compiled without the mode {method.mode}."""',
        f'    raise _absent("{method.mode}")',
    ]


def _method(method: Method, names: Names) -> list[str]:
    given = [name if default is None else f"{name}={default}" for name, default in arguments(method)]
    first, *more = method.document
    document = [f'"""{first}', *more, '"""'] if more else [f'"""{first}"""']
    inside = [*_door(method, names)]
    outside: list[str] = []
    for way in method.ways:
        if isinstance(way, Refusal):
            raised = f'    raise TypeError("{way.message}")'
            inside += [f"if {TESTS[way.when]}:", raised]
            continue
        answer, left = _answer(method, way, names)
        if way.when == "always":
            inside, outside = inside + answer, left
        else:
            inside += [f"if {TESTS[way.when]}:", *_indented([*answer, *left])]
    return [
        f"def {method.name}({', '.join(['self', *given])}):",
        *_indented([line for line in document]),
        "    cdef Context context",
        "    with self._lock:",
        *_indented(_indented(inside)),
        *_indented(outside),
    ]


def _door(method: Method, names: Names) -> list[str]:
    """What is given is checked, and the context points at it."""
    if method.gradients:
        return ["self._take_gradients(gradients)", "context.batch = 1"]
    if method.sums:
        return ["self._take_sums(sums)", "self._fill(&context, 1)"]
    given = ", ".join(row.argument for row in method.takes)
    lines = [*taken_apart(method)]
    if method.rows:
        shared = ", share" if method.together else ""
        lines += [f"alive = self._batch(&context, {given}, rows{shared})"]
        lines += ['context.before = _earlier("before", before)'] if method.part else []
    else:
        first = method.takes[0].argument
        for number, row in enumerate(method.takes):
            batch = f", {first}.shape[0]" if number else ""
            array = f'_array("{names.shown[row.name]}", {row.argument})'
            said = (_said(one, row, names) for one in method.inputs if row.real and one.key == row.real)
            array = "".join(f"_where_real({array}, {argument})" for argument in said) or array
            checked = f"self._{names.fields[row.name]}(&context, {array}{batch})"
            if not (number or method.takes_none):
                checked = f'_filled("{names.shown[row.name]}", {checked})'
            lines.append(f"{row.argument} = {checked}")
    if method.cotangents:
        lines.append("along_outputs = self._cotangents(&context, cotangents)")
    lines += ["along_input = self._tangent(&context, tangents)"] if method.tangents else []
    if method.example_states:
        shared = "share is not None" if method.together else "False"
        parts = f"context.before != 0 or {shared}" if method.part else shared
        lines.append(f"self._point_at_example_states(&context, {parts})")
    return lines


def _said(real: Row, row: Row, names: Names) -> str:
    """The input that says what is real of another, which may come behind it."""
    if row.use == "label":
        return real.argument
    return f'_array("{names.shown[real.name]}", {real.argument})'


def taken_apart(method: Method) -> Iterable[str]:
    """The arrays of arguments that hold several; what may be left out is a one for each example."""
    for argument, rows in (("x", method.inputs), ("y", method.labels)):
        if len(rows) > 1:
            names, keys = ", ".join(row.argument for row in rows), tuple(row.key for row in rows)
            yield f'{names} = _several("{argument}", {argument}, {keys!r})'
    if method.unlabelled:
        yield '_nothing("y", y)'
    for row in method.optional if not method.rows else ():
        yield f"if {row.argument} is None:"
        examples = f"np.shape({method.takes[0].argument})[:1]"
        yield f"    {row.argument} = np.broadcast_to(np.ones((), DTYPE), {examples})"


def _answer(method: Method, way: Way, names: Names) -> tuple[list[str], list[str]]:
    """Lines under the lock, and those that may stand outside it."""
    batch = f"{method.takes[0].argument}.shape[0]" if method.takes and not method.rows else "context.batch"
    arrays, flat = way.arrays, way.of_examples or len(way.arrays) > 1
    local = {a: _local(a, k, method, way, names) for k, a in enumerate(arrays)}
    lines: list[str] = []
    if flat:
        own = sum(row_size(a.shape) for a in arrays)
        size = f"(ARENA + {own})" if way.of_examples else str(own)
        lines += [
            f"batch = {batch}",
            f"arena = _aligned({size} * batch, DTYPE)",
            "context.output = <real*>_address(arena)",
        ]
    else:
        for array in arrays:
            lines += [
                f"{local[array]} = np.empty({_shape(array, batch, names)}, dtype=DTYPE)",
                f"context.output = <real*>_address({local[array]})",
            ]
    actions = [line for action in way.actions for line in _action(action)]
    lines += [f"if {batch}:", *_indented(actions)] if method.takes_none else actions
    after: list[str] = []
    values: list[str] = []
    for result in way.results:
        match result:
            case Number():
                values.append(_number(result))
            case Numbers(entries):
                values.append(_dictionary({name: _number(number) for name, number in entries}))
            case Totals(entries):
                values.append(_dictionary({name: _total(first, shape) for name, first, shape in entries}))
            case Array():
                values.append(_part(result, names) if flat else local[result])
            case Arrays(entries, keys):
                parts = [_part(array, names) if flat else local[array] for array in entries]
                named = _dictionary(dict(zip(keys, parts, strict=True))) if keys else ""
                values.append(named or f"({', '.join(parts)})")
            case Gradients():
                values.append(_gradients(result, method, way, local, names, lines))
            case ExampleGradients():
                after += [
                    f"{method.words[0]} = {{}}",
                    "for name, shape, offset in _PARAMETERS:",
                    "    stop = offset + int(np.prod(shape, dtype=np.int64))",
                    f"    {method.words[0]}[name] = "
                    "arena[offset * batch:stop * batch].reshape(batch, *shape)",
                ]
                values.append(method.words[0])
    ending = [f"return {', '.join(values)}"] if values else []
    # What was written for this call alone is taken apart when others may go on.
    return (lines, [*after, *ending]) if after else ([*lines, *ending], [])


def _number(number: Number) -> str:
    return f"float(self._total[{number.offset}])"


def _total(first: int, shape: Shape) -> str:
    """A number, or an array of its own, among the totals."""
    if not shape:
        return f"float(self._total[{first}])"
    values = f"self._total[{first}:{first + row_size(shape)}]"
    return f"{values}.reshape({shape}).astype(np.float64)"


def _dictionary(values: Mapping[str, str]) -> str:
    """A display of values, by their expressions."""
    return f"{{{', '.join(f'{name!r}: {value}' for name, value in values.items())}}}"


def _gradients(
    result: Gradients,
    method: Method,
    way: Way,
    local: Mapping[Array, str],
    names: Names,
    lines: list[str],
) -> str:
    """The dictionary of all gradients; where it needs lines of its own they are added to `lines`."""
    name, whole = method.words[0], "self._gradients()"
    if result.by_parameters == ():
        whole = "{}"
    elif result.by_parameters is not None:
        whole = f"{{name: {whole}[name] for name in {result.by_parameters!r}}}"
    if not result.by_inputs:
        return whole
    lines.append(f"{name} = {whole}")
    flat = way.of_examples or len(way.arrays) > 1
    for array in result.by_inputs:
        value = _part(array, names) if flat else local[array]
        lines.append(f'{name}["{array.name}"] = {value}')
    return name


def _local(array: Array, number: int, method: Method, way: Way, names: Names) -> str:
    """A name for the array of a result."""
    if array.name in names.fields:
        return f"{names.fields[array.name]}_{method.words[1]}"
    return "outputs" if len(way.arrays) == 1 else f"outputs_{number}"


def _shape(array: Array, batch: str, names: Names) -> str:
    if array.name in names.shapes:
        return f"({batch}, *{names.shapes[array.name]})"
    return f"({', '.join([batch, *map(str, array.shape[1:])])},)"


def _part(array: Array, names: Names) -> str:
    """A result in the memory of all results of each example."""
    start = "ARENA" if array.offset == names.arena else str(array.offset)
    size = row_size(array.shape)
    if array.shape == (None,):
        return (
            f"arena[{start} * batch:]"
            if start == "ARENA"
            else f"arena[{start} * batch:{array.offset + 1} * batch]"
        )
    shape = ", ".join(["batch", *map(str, array.shape[1:])])
    return f"arena[{start} * batch:{array.offset + size} * batch].reshape({shape})"


def _action(action: Action) -> list[str]:
    match action:
        case Run(ranges=ranges) if ranges:
            return _over_ranges(action)
        case Run(routine, parameters, together, counted):
            run = ["with nogil:", f"    {routine}(&context, self._threads)"]
            if counted:
                run.insert(0, f"context.scalars[{SCALAR_KINDS.index('step')}] = self._step")
            if together:
                return ["if share is None:", *_indented(run), "else:", "    self._together(&context, share)"]
            if not parameters:
                return run
            batch = ["# The update's batch are the parameters.", "context.batch = ARENA"]
            batch.append("compute_alone(&context)")
            # What is frozen is given back what it was.
            run = ["apart = _set_apart(self, _views(self._total)) if self._frozen else None", *run]
            run += ["if apart:", "    _put_back(apart)"]
            return ["self._fill(&context, context.batch)", *batch, *run]
        case CountStep():
            return ["self._step += 1"]
        case RenewExampleStates():
            return ["self._renew_example_states()"]
        case RenewStates(size):
            end = "2 * STATE_SIZE" if size is None else f"STATE_SIZE + {size}"
            renewed = f"self._states[old + STATE_SIZE:old + {end}]"
            return [
                "old = len(_SLOTS) * ARENA",
                f"self._states[old:old + {size or 'STATE_SIZE'}] = {renewed}",
            ]


def _over_ranges(run: Run) -> list[str]:
    """An update of some ranges of all parameters, each as if there were no others."""
    return [
        "# The update's batch are the parameters that the step has not updated.",
        f"for begin, end in {run.ranges!r}:",
        "    context.parameters = <real*>_address(self._arena) + <Py_ssize_t>begin",
        "    context.states = <real*>_address(self._states) + <Py_ssize_t>begin",
        "    context.total = <real*>_address(self._total) + <Py_ssize_t>begin",
        "    context.batch = end - begin",
        "    compute_alone(&context)",
        "    with nogil:",
        f"        {run.routine}(&context, self._threads)",
    ]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]
