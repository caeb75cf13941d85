"""What a person who compiles asks to see of the passes: each program as they leave it, and what they did.

Imports the compiler's middle only once there is something to show.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

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
    dumped: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        """Whether there is anything to show."""
        return self.dump_after is not None or self.explain

    def __call__(self, step: Step) -> None:
        from compiler.tools.pass_table import shown

        if self.explain:
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

    def to_json(self) -> dict[str, Any]:
        """`dumps` and `record`, each where it was asked for."""
        found: dict[str, Any] = {}
        if self.wanted:
            from compiler.tools.pass_table import record_to_json, shown_to_json

            if self.dump_after is not None:
                found["dumps"] = [shown_to_json(step) for step in self.dumped]
            if self.explain:
                found["record"] = record_to_json(self.steps)
        return found
