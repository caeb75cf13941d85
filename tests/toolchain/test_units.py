"""C in units: loops apart from the door, each function in one of them, whatever Cython wrote."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from compiler.frontend.parse import load_model
from compiler.module_source import compile_to_source
from compiler.toolchain.build import translate
from compiler.toolchain.processes import run, run_together
from compiler.toolchain.units import DOOR, LOOPS, units_of
from tests.machines import TARGETS
from tests.workshop import TINY

HEAD = """#include "Python.h"
#ifdef Py_PYTHON_H
/* #### Code section: utility_code_proto ### */
static int __Pyx_of_its_own(void) { return 0; }
/* #### Code section: module_declarations ### */
static CYTHON_INLINE void __pyx_f_1m_rows(float const *, Py_ssize_t); /*proto*/
static void __pyx_f_1m_dense(float const *, float *, Py_ssize_t); /*proto*/
static void __pyx_f_1m_tile(float const *); /*proto*/
static PyObject *__pyx_f_1m_shown(PyObject *); /*proto*/
static void __pyx_f_1m_raises(float const *); /*proto*/
static void __pyx_f_1m_counts(float const *); /*proto*/
/* #### Code section: typeinfo ### */
"""
BODIES = {
    "rows": """static CYTHON_INLINE void __pyx_f_1m_rows(float const *__pyx_v_x, Py_ssize_t __pyx_v_n) {
  Py_ssize_t __pyx_t_1;
  /* PyObject is spoken of here */
  for (__pyx_t_1 = 0; __pyx_t_1 < __pyx_v_n; ++__pyx_t_1) {
    store(__pyx_v_x);
  }
}
""",
    "dense": """static void __pyx_f_1m_dense(float const *__pyx_v_x, float *__pyx_v_y, Py_ssize_t __pyx_v_n) {
  __pyx_v_y[0] = __pyx_v_x[0] * __pyx_e_1m_ROW;
  goto __pyx_L3;
  __pyx_L3:;
}
""",
    "tile": """static void __pyx_f_1m_tile(float const *__pyx_v_x) {
  __pyx_f_1m_dense(__pyx_v_x, __pyx_v_x, 3);
}
""",
    "shown": """static PyObject *__pyx_f_1m_shown(PyObject *__pyx_v_value) {
  return __pyx_v_value;
}
""",
    "raises": """static void __pyx_f_1m_raises(float const *__pyx_v_x) {
  PyErr_Clear();
}
""",
    "counts": """static void __pyx_f_1m_counts(float const *__pyx_v_x) {
  __pyx_v_1m_calls += 1;
}
""",
}
TEXT = HEAD + "".join(BODIES.values()) + "#endif /* Py_PYTHON_H */\n"


def test_loops_are_apart_from_what_knows_python_or_other_functions() -> None:
    door, loops = units_of(TEXT)
    assert (door.level, loops.level) == (DOOR, LOOPS)
    bodies = [re.findall(r"__pyx_f_1m_(\w+)\(.*\) \{", unit.text) for unit in (door, loops)]
    assert bodies == [["tile", "shown", "raises", "counts"], ["rows", "dense"]]
    for unit in (door, loops):
        assert unit.text.count("#endif /* Py_PYTHON_H */") == 1
        assert re.findall(r"^__attribute__.* __pyx_f_1m_(\w+)\(.*\);", unit.text, re.M) == ["rows", "dense"]
        assert "static void __pyx_f_1m_tile(float const *);" in unit.text


@pytest.mark.parametrize("largest", [1, 300, 600, 10**6])
def test_loops_are_in_units_of_about_one_size(largest: int) -> None:
    functions = "".join(BODIES["dense"].replace("dense", f"dense_{k}") for k in range(20))
    _, *loops = units_of(TEXT.replace("#endif /*", functions + "#endif /*"), largest)
    sizes = [unit.text.count("goto") for unit in loops]
    assert sum(sizes) == 21
    assert len(loops) == {1: 22, 10**6: 1}.get(largest, len(loops))
    assert all(size * len(BODIES["dense"]) <= largest + 300 for size in sizes)


@pytest.mark.parametrize("text", ["int answer(void) { return 42; }\n", TEXT.replace(" {\n", "\n{\n"), HEAD])
def test_what_is_not_as_cython_writes_it_is_one_unit(text: str) -> None:
    (unit,) = units_of(text)
    assert unit.text == text and unit.level == LOOPS


def test_every_kernel_of_a_module_is_among_the_loops(tmp_path: Path) -> None:
    """What Cython writes today is told apart."""
    (tmp_path / "tiny.py").write_text(TINY)
    source = compile_to_source(load_model(tmp_path / "tiny.py"), TARGETS["x86-64-v3"], "float32", "digest")
    (tmp_path / "tiny.pyx").write_text(source.text)
    text = translate(tmp_path / "tiny.pyx").read_text()
    assert "# <<<<<<" not in text
    door, *loops = units_of(text, 10**5)
    assert len(loops) == 2
    function = re.compile(r"^\S.* \*?__pyx_f_4tiny_(\w+)\(.*\) \{$", re.M)
    defined = [function.findall(unit.text) for unit in (door, *loops)]
    part = source.text[source.text.index("\n# Kernels\n") : source.text.index("\n# Programs: ")]
    kernels = set(re.findall(r"^cdef void (\w+)\($", part, re.M))
    others = {"put_aside", "take_back", "reduce_block", "input_rows"}
    assert len(kernels) > 30
    assert kernels | others <= {name for names in defined[1:] for name in names}
    assert len([name for names in defined for name in names]) == len({n for names in defined for n in names})
    assert {"gradient", "gradient_tile_0", "reduce_lanes"} <= set(defined[0])


def test_programs_side_by_side() -> None:
    """Their results come in the order in which they were asked for."""
    commands = [["sh", "-c", f"sleep 0.{3 - k % 4}; echo {k}; exit {k}"] for k in range(6)]
    results = run_together([*commands[:3], ["/nonexistent/cc"], *commands[3:]])
    assert [result.returncode for result in results] == [0, 1, 2, 127, 3, 4, 5]
    assert [result.stdout for result in results] == ["0\n", "1\n", "2\n", "", "3\n", "4\n", "5\n"]
    assert run(["sh", "-c", 'echo "$LC_ALL$MORE"'], MORE="+").stdout == "C+\n"


def stopped_after(seconds: float, commands: list[list[str]]) -> None:
    """Run programs, and be stopped."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with pytest.raises(KeyboardInterrupt):
            run_together(commands)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_programs_are_ended_together(tmp_path: Path) -> None:
    """Whoever is stopped ends all that it has started."""
    stopped_after(0.5, [["sh", "-c", f"sleep 2; touch {tmp_path / str(k)}"] for k in range(2)])
    time.sleep(2.5)
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_has_started_is_waited_for(tmp_path: Path) -> None:
    """A driver that is stopped may end before the compiler that it has started, which tidies up."""
    inner = f"trap 'sleep 0.2; touch {tmp_path}/$0; exit' TERM; while :; do sleep 0.01; done"
    stopped_after(0.5, [["sh", "-c", f'sh -c "$1" {k} & wait', "driver", inner] for k in range(2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
