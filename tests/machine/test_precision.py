"""What `--dtype bfloat16` asks of a target, and what a module of that precision says."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import SGD, Dense, Input, MeanSquaredError, Model, Sequential
from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.machine.elements import DTYPES, REALS, real_of
from compiler.machine.precision import precision_for
from compiler.machine.registry import all_targets, native_target
from compiler.module_source import ModuleSource, compile_to_source
from compiler.toolchain.compile_file import facts_of
from compiler.toolchain.from_python import _real
from compiler.tools.compiled import _rounded
from compiler.tools.summary import summary_of
from tests.machines import BFLOAT16, TARGETS


def model(units: int = 2048) -> Model:
    """One layer, whose weights and their gradient are larger than the second-level cache."""
    return Sequential([Input(512), Dense(units)], loss=MeanSquaredError(), optimizer=SGD())


def compiled(dtype: str, units: int = 2048) -> ModuleSource:
    return compile_to_source(model(units), BFLOAT16, dtype, "digest")


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_without_such_products(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        precision_for("bfloat16", TARGETS[name])
    for words in (f"the target {name} has no products of bfloat16", "avx512_bf16", "--dtype float32"):
        assert words in str(caught.value)
    with pytest.raises(ModelError, match="no products of bfloat16"):
        compile_to_source(model(), TARGETS[name], "bfloat16", "digest")


def test_what_a_c_compiler_says_of_its_processor() -> None:
    """Of any processor with vectors of 64 bytes that has them."""
    plain = frozenset({"__SSE2__", *(macro for macro in ("__AVX512F__", "__AVX512VL__", "__AVX512DQ__"))})
    known = plain | {"__AVX512BW__", "__AVX2__", "__FMA__"}
    assert not native_target(known).machine.bfloat16
    assert native_target(known | {"__AVX512BF16__"}).machine.bfloat16
    capable = [name for name, target in all_targets().items() if target.machine.bfloat16]
    assert capable == ["x86-64-v4-bf16"]


def test_numbers_are_those_of_float32() -> None:
    assert {dtype: real_of(dtype) for dtype in DTYPES} == {
        "float32": "float32",
        "float64": "float64",
        "bfloat16": "float32",
    }
    assert set(map(real_of, DTYPES)) == set(REALS)
    assert [_real(dtype) for dtype in ("bfloat16", "float32", np.float64)] == [
        "bfloat16",
        "float32",
        "float64",
    ]
    lowered = lower(model())
    assert summary_of(lowered, "bfloat16").training_bytes == summary_of(lowered, "float32").training_bytes


def test_a_module_says_what_is_rounded() -> None:
    """Forward, and the gradient of the weights; what is as large in float32 is not touched there."""
    rounded, plain = compiled("bfloat16"), compiled("float32")
    assert "factors of large products are rounded to bfloat16" in rounded.text
    assert "bfloat16_add_products(" in rounded.text and "bfloat16" not in plain.text
    assert 'DTYPE = "float32"' in rounded.text.replace("'", '"')
    facts = facts_of(rounded)
    assert facts["dtype"] == "bfloat16" and facts["rounded"] == 2
    assert _rounded(facts) == [
        "  2 products of a training step are of factors in bfloat16, the rest is float32"
    ]
    assert facts_of(plain)["rounded"] == 0 and _rounded(facts_of(plain)) == []
    bodies = str([step.result for step in rounded.steps if step.name == "vjp"])
    assert "bfloat16" not in bodies


def test_nothing_gains() -> None:
    facts = facts_of(compiled("bfloat16", units=4))
    assert facts["rounded"] == 0
    assert _rounded(facts) == [
        "  no product of a training step is large enough to gain by bfloat16: all is float32"
    ]
