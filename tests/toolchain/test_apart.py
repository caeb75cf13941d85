"""A large module's kernels are translated side by side: the door declares them, and all is as if whole."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from compiler import CompilerBug
from compiler.toolchain import apart as apart_module
from compiler.toolchain import build
from compiler.toolchain.apart import PREFIX, Apart, apart
from compiler.toolchain.compile_file import Options, compile_file
from compiler.toolchain.translation import translate
from compiler.toolchain.units import loops_of
from tests.workshop import Built, import_module

GOLDEN = (Path(__file__).parents[1] / "golden" / "tiny.pyx").read_text()
KERNEL = re.compile(r"^cdef void (\w+)\(\n(?s:.*?)(?=^\S(?<!\)))", re.M)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every module is large enough for two."""
    monkeypatch.setattr(apart_module, "MOST", 2)
    monkeypatch.setattr(apart_module, "SMALLEST", 1000)


def parts_of(text: str) -> Apart:
    found = apart(text)
    assert found is not None
    return found


def test_a_small_module_stays_whole() -> None:
    assert apart(GOLDEN) is None
    assert apart("x = 1\n") is None


@pytest.mark.usefixtures("small_parts")
def test_every_line_keeps_its_number() -> None:
    texts = parts_of(GOLDEN)
    lines = GOLDEN.split("\n")
    begin, end = (
        lines.index("# Kernels"),
        next(k for k, t in enumerate(lines) if t.startswith("# Programs: ")),
    )
    door = texts.door.split("\n")
    assert len(door) == len(lines)
    assert door[: begin + 2] == lines[: begin + 2] and door[end:] == lines[end:]
    assert len(texts.parts) == apart_module.MOST
    kernels = {k for k in range(begin + 2, end - 1) if lines[k]}
    found = [part.split("\n") for part in texts.parts]
    constants = lines.index("# Constants of this model")
    places = [{k for k, line in enumerate(part) if line and k >= constants} for part in found]
    assert set(chain(*places)) == kernels and sum(map(len, places)) == len(kernels)
    assert all(part[k] == lines[k] for part, some in zip(found, places, strict=True) for k in some)
    sizes = [sum(len(lines[k]) for k in some) for some in places]
    assert max(sizes) < 2 * min(sizes)


@pytest.mark.usefixtures("small_parts")
def test_a_kernel_is_declared_as_it_is_defined(tmp_path: Path) -> None:
    """The C of the parts is that of the whole, and the door's prototypes are those of the parts."""
    texts = parts_of(GOLDEN)
    made = []
    for number, text in enumerate((GOLDEN, *texts.parts)):
        (tmp_path / str(number)).mkdir()
        file = tmp_path / str(number) / ("tiny.pyx" if not number else apart_module.FILE)
        file.write_text(text)
        made.append(translate(file).read_text())
    whole, *parts = made
    bodies = "".join(map(loops_of, parts))
    function = re.compile(r"^(?:.* )?(void|static void) (__pyx_f_\d\w+?)\((.*)\) \{\n((?:.*\n)*?)\}\n", re.M)
    kernels = {name: (types, body) for _, name, types, body in function.findall(bodies)}
    own = {name: (types, body) for _, name, types, body in function.findall(whole)}
    assert len(kernels) > 30
    for name, function_of_part in kernels.items():
        assert function_of_part == own[name.replace(PREFIX, "__pyx_f_4tiny_")]
    for name, (types, _) in kernels.items():
        declared = re.search(rf"void {name}\((.*)\);", texts.door)
        assert declared is not None
        unnamed = [re.sub(r"\w+$", "", part).replace(" ", "") for part in declared[1].split(", ")]
        named = re.compile(r"(CYTHON_UNUSED )|__pyx_v_\w+$")
        given = [named.sub("", part).replace(" ", "") for part in types.split(", ")]
        assert sorted(map(in_any_order, unnamed)) == sorted(map(in_any_order, given))


def in_any_order(kind: str) -> str:
    """Cython writes `real const *` for `const real*`."""
    return "const " * ("const" in kind) + kind.replace("const", "")


@pytest.mark.usefixtures("small_parts")
def test_a_module_in_parts_computes_what_the_whole_does(models, built: Built, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    made = compile_file(models("small"), Options(tmp_path / "apart"))
    assert not made.cached
    networks = [module.Network(seed=3) for module in (built("small"), import_module(made.module))]
    x, y = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    losses = [[net.train_step(x, y[:, :2]) for _ in range(3)] for net in networks]
    assert losses[0] == losses[1]
    assert sorted(path.name for path in (tmp_path / "apart").iterdir()) == sorted(
        path.name for path in (made.module, made.source, made.stub)
    )


def test_kernels_that_cython_rejects_are_our_mistake(tmp_path: Path) -> None:
    """Whoever translates them says so, and the C compiler is not run."""
    texts = Apart("x = 1\n", ("cdef void dense(real* x) noexcept nogil:\n    x[0] = \n",))
    toolchain = build.Toolchain(("/nonexistent/cc",), "none")
    with pytest.raises(CompilerBug, match=r"kernels\.pyx"):
        build.build_apart(texts, "tiny", tmp_path / "tiny.so", toolchain, ())
    assert list(tmp_path.iterdir()) == []
