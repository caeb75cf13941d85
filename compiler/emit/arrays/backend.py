"""What one array library calls things: the differences between NumPy, PyTorch and JAX, each said once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

BATCH = "batch"
"""What every text calls the size of the batch."""
ARRAYS = "arrays"
"""What a step is called with, where the library has the loop."""
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*\b(?! *=[^=])")
"""A name that is no attribute and no keyword."""


@dataclass(frozen=True)
class Backend:
    """The words of one library. Texts in braces are filled in."""

    name: str
    module: str
    imports: tuple[str, ...]
    transpose: str
    zeros: str
    full: str
    broadcast: str
    maximum: str
    """The largest along axes."""
    minimum: str
    total: str
    argmax: str
    """The place of the largest along the last axis."""
    argmin: str
    grids: str
    """Index arrays over ranges, each along an axis of its own."""
    places: str
    """An array of places, each the first."""
    set_slice: str
    """Setting a part of an array that a slice says."""
    add_slice: str
    """Adding to one."""
    add_at: str
    """Adding at places that index arrays say, several times where they repeat."""
    constant: str
    """A number where the library takes arrays alone."""
    real: str
    """Positions as real numbers."""
    special: str
    """Functions that the library has elsewhere, or not."""
    constant_part: str
    """A value that its own derivatives take for a constant."""
    loop: str = ""
    """A loop over a function of arrays, where these cannot be written to; nothing where they can."""
    scalar: str = ""
    """A number that a function is given as one of the library's, where Python's own raises, or becomes
    complex; nothing where the library takes care of that."""
    attributes: tuple[str, ...] = ()
    """What the words read of an argument of real numbers, each under its own name."""
    given: str = ""
    """An array of any kind as one that such a loop can read."""
    quiet: str = ""
    """A context for what is computed and not taken, where the library warns of it."""
    step: str = ""
    """The number of a step where something is divided, for which Python's own raises."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Functions whose name there is another one."""
    helpers: Mapping[str, str] = field(default_factory=dict)
    """Functions that a text defines where it uses them."""
    imports_used: Mapping[str, str] = field(default_factory=dict)
    """Imports of texts that use such a name alone."""

    @property
    def reserved(self) -> frozenset[str]:
        """Every name that a text in these words uses for something else than a tensor or an axis."""
        values = [getattr(self, f.name) for f in fields(self) if f.name != "name"]
        words = [re.sub(r"{\w+}", "0", value) for value in values if isinstance(value, str)]
        imported = [line.split()[-1] for line in (*self.imports, *self.imports_used.values())]
        called = [call.rstrip("(") for call in self.helpers]
        found = (name for word in words for name in _NAME.findall(word))
        return frozenset((*found, *imported, *called, *self.attributes, BATCH, ARRAYS, "math", "range"))


_READ = '''def read(array, outside, *index):
    """array[index], and `outside` where an index leaves the array."""
    inside, clipped = True, []
    for i, n in zip({indices}, array.shape):
        inside = inside & (i >= 0) & (i < n)
        clipped.append({clip}(i, 0, n - 1))
    return {where}(inside, array[tuple(clipped)], outside)'''

_CHECK_SHAPES = '''def check_shapes(**given):
    """Raise ValueError for an array of another shape; "batch" is one number, the same in each."""
    batch = "batch"
    for name, (array, expected) in given.items():
        found = tuple(SHAPE)
        if "batch" in expected and batch == "batch" and len(found) == len(expected):
            batch = found[expected.index("batch")]
        wanted = tuple(batch if n == "batch" else n for n in expected)
        if found != wanted:
            raise ValueError(
                f"{name}: expected shape {wanted}, found {found}; "
                "this code is written for these sizes, `chainrule derive --sizes` writes it for others"
            )'''

NUMPY = Backend(
    name="numpy",
    module="np",
    imports=("import numpy as np",),
    transpose="np.transpose({array}, {order})",
    zeros="np.zeros({shape})",
    full="np.full({shape}, {value})",
    broadcast="np.broadcast_to({array}, {shape})",
    maximum="np.max({array}, axis={axes})",
    minimum="np.min({array}, axis={axes})",
    total="np.sum({array}, axis={axes})",
    argmax="np.argmax({array}, axis=-1)",
    argmin="np.argmin({array}, axis=-1)",
    grids="np.ogrid[{ranges}]",
    places="np.zeros({shape}, int)",
    set_slice="{target}[{place}] = {value}",
    add_slice="{target}[{place}] += {value}",
    add_at="add_at({target}, {value}, {index})",
    constant="{value}",
    real="({value})",
    constant_part="({argument})",
    scalar="np.asarray({array}, float)",
    quiet="np.errstate(all='ignore')",
    step="np.float64({value})",
    special="np.vectorize(math.{name}, otypes=[float])({argument})",
    helpers={
        "check_shapes(": _CHECK_SHAPES.replace("SHAPE", "np.shape(array)"),
        "read(": _READ.format(indices="index", clip="np.clip", where="np.where"),
        "add_at(": '''def add_at(array, value, *index):
    """Add a value at each place, as often as it is there; what lies outside is dropped."""
    value, *index = np.broadcast_arrays(value, *index)
    inside = np.all([(i >= 0) & (i < n) for i, n in zip(index, array.shape)], axis=0)
    np.add.at(array, tuple(i[inside] for i in index), value[inside])''',
    },
)
TORCH = Backend(
    name="torch",
    module="torch",
    imports=("import torch",),
    transpose="{array}.permute{order}",
    zeros="torch.zeros({shape}, dtype=dtype, device=device)",
    full="torch.full({shape}, {value}, dtype=dtype, device=device)",
    broadcast="torch.broadcast_to({array}, {shape})",
    maximum="torch.amax({array}, dim={axes})",
    minimum="torch.amin({array}, dim={axes})",
    total="torch.sum({array}, dim={axes})",
    argmax="torch.argmax({array}, dim=-1)",
    argmin="torch.argmin({array}, dim=-1)",
    grids="grids(device, {sizes})",
    places="torch.zeros({shape}, dtype=torch.int64, device=device)",
    set_slice="{target}[{place}] = {value}",
    add_slice="{target}[{place}] += {value}",
    add_at="add_at({target}, {value}, {index})",
    constant="torch.tensor({value}, dtype=dtype, device=device)",
    real="({value}).to(dtype)",
    constant_part="({argument}).detach()",
    attributes=("dtype", "device"),
    special="torch.{name}({argument})",
    functions={"power": "pow", "absolute": "abs", "arccos": "acos", "arcsin": "asin", "arctan": "atan"},
    helpers={
        "check_shapes(": _CHECK_SHAPES.replace("SHAPE", 'getattr(array, "shape", ())'),
        "read(": _READ.format(indices="map(torch.as_tensor, index)", clip="torch.clamp", where="torch.where"),
        "add_at(": '''def add_at(array, value, *index):
    """Add a value at each place, as often as it is there; what lies outside is dropped."""
    value, *index = torch.broadcast_tensors(value, *index)
    inside = torch.ones_like(index[0], dtype=torch.bool)
    for i, n in zip(index, array.shape):
        inside = inside & (i >= 0) & (i < n)
    array.index_put_(tuple(i[inside] for i in index), value[inside], accumulate=True)''',
        "grids(": '''def grids(device, *sizes):
    """0, 1, … along an axis of its own for each size."""
    shapes = [[-1 if k == j else 1 for k in range(len(sizes))] for j in range(len(sizes))]
    return [torch.arange(n, device=device).reshape(s) for n, s in zip(sizes, shapes)]''',
    },
)
JAX = Backend(
    name="jax",
    module="jnp",
    imports=("import jax", "import jax.numpy as jnp"),
    imports_used={"np": "import numpy as np"},
    transpose="jnp.transpose({array}, {order})",
    zeros="jnp.zeros({shape})",
    full="jnp.full({shape}, {value})",
    broadcast="jnp.broadcast_to({array}, {shape})",
    maximum="jnp.max({array}, axis={axes})",
    minimum="jnp.min({array}, axis={axes})",
    total="jnp.sum({array}, axis={axes})",
    argmax="jnp.argmax({array}, axis=-1)",
    argmin="jnp.argmin({array}, axis=-1)",
    grids="np.ogrid[{ranges}]",
    places="jnp.zeros({shape}, int)",
    set_slice="{target} = {target}.at[{place}].set({value})",
    add_slice="{target} = {target}.at[{place}].add({value})",
    add_at="{target} = add_at({target}, {value}, {index})",
    constant="{value}",
    real="({value})",
    constant_part="jax.lax.stop_gradient({argument})",
    scalar="jnp.asarray({array})",
    special="jax.scipy.special.{name}({argument})",
    loop="jax.lax.fori_loop(0, {steps}, {function}, {arrays})",
    given="{array} = jnp.asarray({array})",
    helpers={
        "check_shapes(": _CHECK_SHAPES.replace("SHAPE", "jnp.shape(array)"),
        "read(": _READ.format(indices="index", clip="jnp.clip", where="jnp.where"),
        "add_at(": '''def add_at(array, value, *index):
    """The array with a value added at each place, as often as it is there; what lies outside is dropped."""
    value, *index = jnp.broadcast_arrays(value, *index)
    inside, clipped = True, []
    for i, n in zip(index, array.shape):
        inside = inside & (i >= 0) & (i < n)
        clipped.append(jnp.clip(i, 0, n - 1))
    return array.at[tuple(clipped)].add(jnp.where(inside, value, 0))''',
    },
)
BACKENDS = {backend.name: backend for backend in (NUMPY, TORCH, JAX)}
