"""What the targets for x86-64 have in common: C's words for their vectors, by length and dtype.

See Intel, "Intrinsics Guide": `_mm256_maskz_loadu_ps` is the form for 256 bits of packed singles.
"""

from __future__ import annotations

from compiler.machine.elements import REALS
from compiler.machine.target import Intrinsics, Pairs, Partial, Widening

ARCHITECTURES = ("x86_64", "amd64")
NATIVE_FLAGS = ("-march=native",)
HEADERS = ("#ifdef __SSE4_1__", "#include <immintrin.h>", "#endif")
AVX512 = ("__AVX512F__", "__AVX512VL__", "__AVX512DQ__", "__AVX512BW__")
AVX2 = ("__AVX2__", "__FMA__")
SSE2 = ("__SSE2__",)
BFLOAT16 = "__AVX512BF16__"

_KINDS = {"float32": ("ps", ""), "float64": ("pd", "d")}
"""How the names of functions and of types end."""
_WIDENS = {64: "__AVX512F__", 32: "__AVX2__", 16: "__SSE4_1__"}
_MASKS = {64: "__AVX512F__", 32: "__AVX512VL__", 16: "__AVX512VL__"}


def intrinsics(*lengths: int, masks: bool = False) -> tuple[Intrinsics, ...]:
    """Words for vectors of each of the lengths, in bytes; `masks` says that instructions take some."""
    return tuple(
        Intrinsics(
            *(length, dtype, _partial(length, dtype) if masks else None, _widening(length, dtype)),
            _pairs(length) if masks and dtype == "float32" else None,
        )
        for length in lengths
        for dtype in REALS
    )


def _prefix(length: int) -> str:
    return "_mm" if length == 16 else f"_mm{8 * length}"


def _partial(length: int, dtype: str) -> Partial:
    kind, ending = _KINDS[dtype]
    lanes = length // REALS[dtype].bytes
    mask = f"(__mmask{max(8, lanes)})((1u << n) - 1)"
    return Partial(
        macro=_MASKS[length],
        load=f"{_prefix(length)}_maskz_loadu_{kind}({mask}, p)",
        store=f"{_prefix(length)}_mask_storeu_{kind}(p, {mask}, (__m{8 * length}{ending})v)",
    )


def _widening(length: int, dtype: str) -> Widening:
    bits = 8 * REALS[dtype].bytes
    return Widening(_WIDENS[length], "__m128i", f"{_prefix(length)}_cvtepu8_epi{bits}(few)")


def _pairs(length: int) -> Pairs:
    """The lower and the upper half of one conversion take turns: both factors of a pair lie side by side."""
    bits, lanes = 8 * length, length // REALS["float32"].bytes
    order = ", ".join(str(number) for lane in reversed(range(lanes)) for number in (lane + lanes, lane))
    both = f"{_prefix(length)}_cvtne2ps_pbh((__m{bits})high, (__m{bits})low)"
    numbers = f"{_prefix(length)}_set_epi16({order})"
    return Pairs(
        macro=BFLOAT16,
        pair=f"{_prefix(length)}_permutexvar_epi16({numbers}, (__m{bits}i){both})",
        neighbours=f"{_prefix(length)}_cvtne2ps_pbh((__m{bits})second, (__m{bits})first)",
        products=f"{_prefix(length)}_dpbf16_ps((__m{bits})sum, (__m{bits}bh)a, (__m{bits}bh)b)",
    )
