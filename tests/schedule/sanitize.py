"""Kernels under AddressSanitizer and UndefinedBehaviorSanitizer: `make sanitize`.

Builds the derived programs of whole models, of the layers without windows, and of the tests of single
schedules for every target that this machine can run, and calls them with several batches and thread counts. A
read or write outside an array, or undefined behaviour, ends the process with a report. The sanitizers'
libraries must be loaded before Python, which `make sanitize` does.
"""

from __future__ import annotations

from compiler.driver import Driver
from compiler.ir.tensor.parser import parse_program
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.derive.layer_cases import other_layer_cases
from tests.derive.model_cases import model_cases
from tests.harness import compile_programs
from tests.machines import TARGETS
from tests.passes import test_picked
from tests.plan import test_joining
from tests.schedule import test_nonzero, test_parts
from tests.schedule.building import computed, lowered, pullback, random_inputs

# A vector may stand at any address of a real: GCC's alignment check does not know that the type says so.
FLAGS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-sanitize=alignment")
BATCHES = (1, 3, 7)
PICKED = parse_program(test_picked.text(20))
SCHEDULES = (
    Driver(cost_for(TARGETS["x86-64-v4"], "float64")).one("pick", "picked", PICKED),
    test_nonzero.PROGRAM,
    test_parts.PROGRAM,
    parse_program(test_joining.UNPOOLED),
    parse_program(test_joining.TRANSPOSED),
)


def main() -> None:
    pairs = [pullback(case) for case in (*model_cases(), *other_layer_cases())]
    for machine in TARGETS.values():
        for dtype in ("float32", "float64"):
            programs = [lowered(pair.simplified, machine, dtype) for pair in pairs]
            programs += SCHEDULES
            module = compile_programs(programs, Settings(machine, dtype, 4), extra_flags=FLAGS)
            for number, pair in enumerate(pairs):
                for batch in BATCHES:
                    computed(module, number, pair, batch, threads=2)
            for number, program in enumerate(SCHEDULES, len(pairs)):
                for batch in BATCHES:
                    module.run(number, random_inputs(program, batch), batch=batch, threads=2)
            print(f"{machine.name} {dtype}: {len(programs)} programs, batches {BATCHES}: clean", flush=True)


if __name__ == "__main__":
    main()
