"""Takes programs through the table of passes: verifies what each gives, and keeps the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from compiler.errors import CompilerBug
from compiler.facts import NOTHING, Facts
from compiler.ir.tensor.axes import runs_over_batch
from compiler.ir.tensor.fragment import fragment
from compiler.ir.tensor.numbering import Key
from compiler.ir.tensor.program import Definition, Program, Rewrite
from compiler.ir.tensor.verify import Sound, verify
from compiler.machine.costs import Costs
from compiler.pipeline import PASSES, Part, Pass
from compiler.plan.kernels import Kernels
from compiler.plan.prices import cost_of_circles, saved_by_fusing, whole_circles
from compiler.plan.whole import cost_behind_plan, cost_in_plan
from compiler.pricing import Cost
from compiler.schedule.forms import ByForm, Forms
from compiler.schedule.settings import Settings


@dataclass(frozen=True)
class Step:
    """What one pass did to one program."""

    program: str
    name: str
    seconds: float
    before: Program
    result: Program
    rewrites: tuple[Rewrite, ...]
    processor: float = 0.0
    """Seconds of it."""


@dataclass
class Driver:
    """Takes programs through the passes, verifies what each gives, and keeps the record."""

    cost: Cost
    """Of a definition as it stands; the price of one is what it costs behind the passes that follow."""
    without: frozenset[str] = frozenset()
    """Passes that are left out."""
    after: Callable[[Step], None] = lambda step: None
    """Called with each step as it ends."""
    passes: tuple[Pass, ...] = PASSES
    costs: Costs = field(default_factory=Costs)
    """What things take where the programs are to run: the rest of what passes choose by."""
    planned: Settings | None = None
    """What the prices of lowering plan for; None: they end with the lowering."""
    steps: list[Step] = field(default_factory=list)
    prices: dict[tuple[str, Key], float] = field(default_factory=dict)
    """Of what has been looked at, by the pass that asked: equal layers cost the same under other names."""
    forms: Forms = field(default_factory=Forms)
    kernels: Kernels = field(default_factory=Kernels)
    """Schedules of what prices fuse."""
    sound: Sound = field(default_factory=dict)
    """Definitions that were verified."""
    in_plan: ByForm[float] = field(default_factory=ByForm)
    """Costs of definitions in a plan."""
    behind_plan: ByForm[float] = field(default_factory=ByForm)
    """The same for prices of lowering, which compare arithmetic too."""

    def unrecorded(self) -> Driver:
        """The same passes, for a look at what would come out."""
        return replace(self, after=lambda step: None, steps=[])

    def price(self, row: Pass, program: Program, names: Iterable[str], facts: Facts = NOTHING) -> float:
        """Predicted cycles a tile of these definitions, memory included, if they go by themselves through the
        passes that follow the row: those of its part, and behind lowering those of planning, and kernels that
        fuse what they can of it.

        The members of a circle are planned as one: where one is asked for, all are priced."""
        if facts.settings is None:
            facts = replace(facts, settings=self.planned)
        if facts.settings is not None:
            names = whole_circles(program, names)
        part = fragment(program, names)
        key = (row.name, self.forms.of_program(part, facts.settings))
        if key not in self.prices:
            self.prices[key] = self._price(row, part, facts)
        return self.prices[key]

    def _price(self, row: Pass, program: Program, facts: Facts) -> float:
        settings = facts.settings
        parts = (row.part, "planning") if settings is not None else (row.part,)
        for later in self.passes[self.passes.index(row) + 1 :]:
            if later.part in parts and later.function is not None and later.name not in self.without:
                program, _ = later.function(program, self._asked_by(later, facts))
        if settings is None:
            return self._total(program.definitions, lambda d: self.cost(d, program))
        if row.part == "planning":
            cost = partial(self._known, self.in_plan, cost_in_plan, settings)
        else:
            cost = partial(self._known, self.behind_plan, cost_behind_plan, settings)
        apart = [d for d in program.definitions if d.name not in program.circle_of]
        total = self._total(apart, lambda d: cost(d, program)) + cost_of_circles(program, settings)
        # Planning chooses what runs at once, which is fused with nothing.
        fuses = settings.fuse and row.part != "planning"
        return total - saved_by_fusing(program, settings, self.kernels) if fuses else total

    def _total(self, definitions: Iterable[Definition], cost: Callable[[Definition], float]) -> float:
        """The cost of definitions, each as much of it as counts for a tile."""
        once = self.costs.once_share
        return sum(cost(d) * (1 if runs_over_batch(*d.terms) else once) for d in definitions)

    def _known(
        self,
        known: ByForm[float],
        cost: Callable[[Definition, Program, Settings], float],
        settings: Settings,
        definition: Definition,
        program: Program,
    ) -> float:
        return known.get(definition, program, settings, partial(cost, definition, program, settings))

    def _asked_by(self, row: Pass, facts: Facts) -> Facts:
        """The facts with prices of what comes out behind this pass."""
        return replace(facts, price=partial(self.price, row, facts=facts), costs=self.costs)

    def has(self, name: str) -> bool:
        """Whether a pass of the table is not left out."""
        return name not in self.without and any(row.name == name for row in self.passes)

    def through(
        self, parts: tuple[Part, ...], label: str, program: Program, facts: Facts = NOTHING
    ) -> Program:
        """The program called `label` after all passes of these parts."""
        for part in parts:
            for row in self.passes:
                if row.part == part:
                    program = self._after(row, label, program, facts)
        return program

    def one(self, name: str, label: str, program: Program, facts: Facts = NOTHING) -> Program:
        """The program called `label` after the pass `name` alone."""
        row = next((row for row in self.passes if row.name == name), None)
        if row is None:
            raise CompilerBug(f"there is no pass {name}")
        return self._after(row, label, program, facts)

    def _after(self, row: Pass, label: str, program: Program, facts: Facts) -> Program:
        if row.function is None or row.name in self.without:
            return program
        start, used = time.perf_counter(), time.process_time()
        result, rewrites = row.function(program, self._asked_by(row, facts))
        verify(result, self.sound)
        step = Step(label, row.name, time.perf_counter() - start, program, result, rewrites)
        step = replace(step, processor=time.process_time() - used)
        self.steps.append(step)
        self.after(step)
        return result
