"""What a person who compiles asks to see of the passes: each program as they leave it, and what they did.

Imports the compiler's middle only once there is something to show.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from compiler.stopwatch import Stopwatch

if TYPE_CHECKING:
    from compiler.driver import Step


@dataclass
class Watch:
    """Called with each step as it ends: prints those asked for, or keeps them for JSON."""

    dump_after: str | None
    """The pass behind which programs are shown, or `all`."""
    explain: bool
    """Whether the record of all passes is asked for."""
    results: TextIO | None
    """Where programs are printed, as they come; None where they are kept."""
    timings: bool = False
    """Whether times are asked for: those of the steps, and those of the stages, on `stopwatch`."""
    dumped: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def wanted(self) -> bool:
        """Whether there is anything to show."""
        return self.dump_after is not None or self.explain or self.timings

    def __call__(self, step: Step) -> None:
        from compiler.tools.pass_table import shown

        if self.explain or self.timings:
            self.steps.append(step)
        if self.dump_after not in ("all", step.name):
            return
        if self.results is None:
            self.dumped.append(step)
        else:
            print(shown(step), file=self.results, flush=True)

    def record(self) -> str:
        """What each pass did to each program, with times."""
        from compiler.tools.pass_table import record

        return record(self.steps, times=True)

    def timed(self) -> str:
        """Where the time went."""
        from compiler.tools.timings import render

        return render(self.stopwatch, self.steps)

    def to_json(self) -> dict[str, Any]:
        """`dumps` and `record`, each where it was asked for."""
        found: dict[str, Any] = {}
        if self.wanted:
            from compiler.tools.pass_table import record_to_json, shown_to_json

            if self.dump_after is not None:
                found["dumps"] = [shown_to_json(step) for step in self.dumped]
            if self.explain:
                found["record"] = record_to_json(self.steps)
        if self.timings:
            from compiler.tools import timings

            found["timings"] = timings.to_json(self.stopwatch, self.steps)
        return found
