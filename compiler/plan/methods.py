"""From entry points to methods: what a call takes, which routines answer it, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from compiler.errors import CompilerBug
from compiler.ir.module.entry_point import EntryPoint, Offer, Use
from compiler.ir.module.methods import (
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
    Result,
    Run,
    Totals,
    Way,
    When,
)
from compiler.ir.module.signature import Signature
from compiler.ir.tensor.axes import has_batch
from compiler.plan.plan import Plan
from compiler.plan.storage import layout
from compiler.plan.updates import JoinedStep

Plans = Mapping[str, Plan]


def methods_of(entries: Iterable[EntryPoint], plans: Plans, signature: Signature) -> list[Method]:
    """The methods that the entry points offer: those that share one answer it together."""
    groups: dict[Offer, list[EntryPoint]] = {}
    for entry in entries:
        if entry.offer is not None:
            groups.setdefault(entry.offer, []).append(entry)
    return [_method(offer, group, plans, signature) for offer, group in groups.items()]


@dataclass(frozen=True)
class Halves:
    """What a step of training consists of, and the methods that run all of it, or one half."""

    training: EntryPoint
    update: EntryPoint
    step: Offer
    gradients: Offer
    apply: Offer
    joined: JoinedStep | None = None
    """Both halves in one, where some parameters are updated in the registers of their gradients."""


def training_methods(halves: Halves, plans: Plans, signature: Signature) -> list[Method]:
    """A step: the gradient, its new states, and the update of all parameters; then its halves."""
    training, update = halves.training, Run(halves.update.name, parameters=True)
    renewed: tuple[Action, ...] = (*_renewal(training, signature), *_renewal_of_examples(training))
    runs: list[tuple[Offer, tuple[Action, ...]]] = [
        (halves.step, (Run(training.name), CountStep(), *renewed, update)),
        (halves.gradients, (Run(training.name, together=halves.gradients.together), *renewed)),
    ]
    methods = []
    for offer, actions in runs:
        ways = [Way("always", actions, _results(offer, training, plans, signature))]
        if halves.joined is not None and offer is halves.step:
            ways.insert(0, _joined(halves.joined, renewed, update, offer, plans, signature))
        methods.append(_worded(offer, [training], signature, tuple(ways)))
    applied = _worded(halves.apply, [], signature, (Way("always", (CountStep(), update), ()),))
    return [*methods, replace(applied, gradients=True)]


def _joined(
    joined: JoinedStep,
    renewed: tuple[Action, ...],
    update: Run,
    offer: Offer,
    plans: Plans,
    signature: Signature,
) -> Way:
    """A step that updates some parameters on its way, and the others behind it. What is frozen needs halves:
    it is put back between them."""
    rest = (replace(update, ranges=joined.left),) if joined.left else ()
    actions = (CountStep(), Run(joined.entry.name, counted=True), *renewed, *rest)
    return Way("nothing frozen", actions, _results(offer, joined.entry, plans, signature))


def _renewal(training: EntryPoint, signature: Signature) -> tuple[RenewStates, ...]:
    """What a step does to states, if it does anything: those that it renews stand before the others."""
    of = set(training.results("new_state").values())
    states = signature.of("state")
    if not of:
        return ()
    if len(of) == len(states):
        return (RenewStates(),)
    return (RenewStates(layout(row for row in states if row.name in of).size),)


def _renewal_of_examples(entry: EntryPoint) -> tuple[RenewExampleStates, ...]:
    return (RenewExampleStates(),) if entry.results("new_example_state") else ()


def _method(offer: Offer, group: list[EntryPoint], plans: Plans, signature: Signature) -> Method:
    """One entry point answers, or one without derivatives by inputs and then one with them."""
    *others, last = sorted(group, key=lambda entry: _by_inputs(entry, signature))
    if len(others) > 1 or (others and _by_inputs(others[0], signature) == _by_inputs(last, signature)):
        raise CompilerBug(f"{offer.method}: {', '.join(e.name for e in group)} answer the same call")
    ways: list[Way | Refusal] = []
    when: When = "no input tangent" if last.given("tangent") else "no input gradient"
    for entry in others:
        ways.append(Way(when, (Run(entry.name),), _results(offer, entry, plans, signature)))
    alone = not others and not _by_inputs(last, signature) and "gradient" in offer.gives
    if alone and not last.given("tangent"):
        ways.append(Refusal("input gradient", "inputs=True: integer inputs have no gradient"))
    tangents = bool(last.given("tangent"))
    by_parameters = tangents and not others and not _by_inputs(last, signature)
    refused = by_parameters and any(row.differentiable for row in signature.of("input"))
    if refused:
        ways.append(Refusal("input tangent", f"tangents: {offer.method} is by parameters alone"))
    final: When = "always" if others or refused or not tangents else when
    renewed = _renewal_of_examples(last) if offer.renews else ()
    ways.append(Way(final, (Run(last.name), *renewed), _results(offer, last, plans, signature)))
    return _worded(offer, group, signature, tuple(ways))


def _by_inputs(entry: EntryPoint, signature: Signature) -> bool:
    """Whether its derivatives are by inputs too."""
    inputs = {row.name for row in signature.of("input")}
    of = {*entry.given("tangent").values(), *entry.results("gradient").values()}
    return not inputs.isdisjoint(of)


def _worded(
    offer: Offer, group: list[EntryPoint], signature: Signature, ways: tuple[Way | Refusal, ...]
) -> Method:
    tangents = any(entry.given("tangent") for entry in group)
    known = {of for entry in group for use in ("input", "label") for of in entry.given(use).values()}
    takes = tuple(row for row in signature.of("input", "label") if row.name in known)
    shapes = [f"({', '.join(['batch', *map(str, row.example)])})" for row in signature.of("output")]
    document = offer.document.replace(
        "{output}", ("an array " if len(shapes) == 1 else "arrays ") + ", ".join(shapes)
    )
    asks = any(way.when in ("no input gradient", "input gradient") for way in ways)
    flag = asks and not tangents
    cotangents = any(entry.given("cotangent") for entry in group)
    compares = not cotangents and any(use not in ("output", "metric") for use in offer.gives)
    unlabelled = compares and not any(row.use == "label" and row.default is None for row in takes)
    lines = tuple(document.splitlines())
    return Method(
        *(offer.method, lines, takes, tangents, flag, offer.rows, ways, offer.words),
        part=offer.part,
        together=offer.together,
        sums=any(entry.given("sum") or entry.results("metric") for entry in group),
        cotangents=cotangents,
        unlabelled=unlabelled,
        example_states=any(entry.given("example_state") for entry in group),
    )


def _results(offer: Offer, entry: EntryPoint, plans: Plans, signature: Signature) -> tuple[Result, ...]:
    plan = plans[entry.name]

    def numbers(use: Use) -> dict[str, Number]:
        return {of: Number(plan.places[name].offset) for name, of in entry.results(use).items()}

    def arrays(use: Use) -> list[Array]:
        return [
            Array(of, entry.program.shape(name), plan.places[name].offset)
            for name, of in entry.results(use).items()
            if has_batch(entry.program.shape(name))
        ]

    results: list[Result] = []
    for use in offer.gives:
        match use:
            case "value" | "slope" if len(signature.of("value")) > 1:
                results.append(Numbers(tuple(numbers(use).items())))
            case "value" | "slope":
                results += numbers(use).values()
            case "measure":
                results.append(Numbers(tuple(numbers(use).items())))
            case "output" if signature.keyed or len(entry.results(use)) > 1:
                keys = {row.name: row.key for row in signature.of("output")}
                found = tuple(arrays(use))
                results.append(Arrays(found, tuple(keys[a.name] for a in found) if signature.keyed else ()))
            case "output" | "example_value":
                results += arrays(use)
            case "sum" | "metric":
                results += _totals(entry, use, plan, signature)
            case "gradient":
                results.append(_gradients(entry, signature, tuple(arrays(use))))
            case "example_gradient":
                results.append(ExampleGradients())
            case _:
                raise CompilerBug(f"{offer.method}: a result whose role is {use} cannot be given back")
    return tuple(results)


def _totals(entry: EntryPoint, use: Use, plan: Plan, signature: Signature) -> list[Result]:
    """Sums of metrics, or what is made of them, by their names; nothing of a model without."""
    keys = {row.name: row.key for row in signature.of(use)}
    found = [
        (keys[of], plan.places[name].offset, entry.program.shape(name))
        for name, of in entry.results(use).items()
    ]
    return [Totals(tuple(found))] if found else []


def _gradients(entry: EntryPoint, signature: Signature, by_inputs: tuple[Array, ...]) -> Gradients:
    parameters = tuple(row.name for row in signature.of("parameter"))
    derived = {*entry.results("gradient").values()}
    own = tuple(name for name in parameters if name in derived)
    return Gradients(None if own == parameters else own, by_inputs)
