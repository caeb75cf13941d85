_LARGEST = float(np.finfo(DTYPE).max)


def _shown(value):
    # A value in a message: itself if that is short and cannot fail, as printing a large array or integer can.
    short = isinstance(value, (float, np.floating)) or value is None
    short = short or (isinstance(value, str) and len(value) <= 60)
    short = short or (isinstance(value, int) and abs(value) < 1 << 128)
    return repr(value) if short else f"a {type(value).__name__}"


def _whole(name, value):
    # An integer. True is none, and 1.0 is none: who writes these means something else.
    if not isinstance(value, (bool, np.bool_, np.ndarray, np.timedelta64)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name}: expected an integer, found {_shown(value)}")


def _count(name, value, bits):
    value = _whole(name, value)
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name}: expected 0 to 2**{bits} - 1, found {_shown(value)}")
    return value


def _low_bits(seed):
    # What there is of a seed in the generator.
    return seed & 0xFFFFFFFF


def _as_array(name, given):
    # Whatever is no array of NumPy's own.
    for part in given if isinstance(given, (list, tuple)) else (given,):
        if isinstance(part, np.ndarray) and type(part) is not np.ndarray:
            _refuse_mask(name, part)
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array: {error}") from error


def _shaped(name, given, shape):
    # One of the arrays that a caller gives by names, and that nobody else holds.
    array = (given if type(given) is np.ndarray else _as_array(name, given)).view()
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected {DTYPE} values, found {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, found {array.shape}")
    return array


def _refuse_mask(name, part):
    """NumPy would go on with what lies under the mask. Raises ValueError where anything is masked."""
    if isinstance(part, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(part)
        if masked.dtype == bool and masked.any():
            raise ValueError(
                f"{name}: {int(masked.sum())} of {masked.size} values are masked, and there is no arithmetic with "
                f"masks here; put numbers there with {name}.filled(value), or leave these examples out"
            )


def _several(name, given, keys):
    # The arrays of an argument that holds several, in order: a mapping by their names, or a list or tuple of them.
    if hasattr(given, "keys"):
        wrong = [*(key for key in keys if key not in given), *(key for key in given.keys() if key not in keys)]
        if wrong:
            what = "nothing for" if wrong[0] in keys else "something for"
            raise ValueError(f"{name}: expected arrays by the names {', '.join(map(repr, keys))}, found {what} {wrong[0]!r}")
        return tuple(given[key] for key in keys)
    if not isinstance(given, (list, tuple)):
        raise TypeError(
            f"{name}: expected {len(keys)} arrays, a mapping by the names {', '.join(map(repr, keys))}, or a tuple in this "
            f"order, found {_shown(given)}"
        )
    if len(given) != len(keys):
        raise ValueError(f"{name}: expected {len(keys)} arrays ({', '.join(map(repr, keys))}), found {len(given)}")
    return tuple(given)


def _nothing(name, given):
    if given is not None:
        raise TypeError(f"{name}: expected None, for this model has no labels, found {_shown(given)}")


def _where_real(labels, said):
    # Labels with 0 in the steps that only fill up, where nobody looks at them. The other checks follow.
    if labels.dtype.kind not in "iu" or labels.ndim < 2 or said.ndim not in (1, 2) or len(said) != len(labels):
        return labels
    there = said != 0 if said.ndim == 2 else np.arange(labels.shape[1]) < said[:, None]
    if there.shape != labels.shape[:2]:
        return labels
    return np.where(there.reshape(*there.shape, *[1] * (labels.ndim - 2)), labels, 0)


def _wrong_values(name, array, what, limit=None):
    # The error of inputs or labels of a dtype that cannot be taken.
    numbers = "" if limit is None else f" from 0 to {limit - 1}"
    return TypeError(f"{name}: expected {what}{numbers}, found {array.dtype}")


def _wrong_numbers(name, array, dtype, largest, becomes):
    return TypeError(
        f"{name}: expected {DTYPE} or {dtype} values, found {array.dtype}; use {name}.astype('{dtype}') for pixels from 0 "
        f"to {largest}, which are scaled to [0, {becomes}], or {name}.astype({DTYPE!r}) for numbers to be taken as they are"
    )


def _wrong_batch(name, array, batch):
    return ValueError(f"{name}: expected a batch of {batch}, found shape {array.shape}")


def _as_many(name, array, other, given, what):
    # As many examples of one as of the other.
    if array.ndim == 0 or given.shape[:1] != array.shape[:1]:
        raise ValueError(f"{name} and {other}: expected as many {what}, found shapes {array.shape} and {given.shape}")


def _wrong_shape(name, array, example, row):
    # The error of inputs, with a way to mend them.
    hint, expected = "", ("batch", *example)
    if array.ndim >= 1 and array.size and array.size == array.shape[0] * row:
        hint = f"; try {name}.reshape(-1, {', '.join(map(str, example))})"
    elif array.shape == example:
        hint = f"; a single example needs a batch axis: {name}[None]"
    return ValueError(f"{name}: expected shape ({', '.join(map(str, expected))}), found {array.shape}{hint}")


def _wrong_labels(name, array, expected, kind, limit):
    hint = ""
    if kind == "index" and array.shape == (*expected, limit):
        hint = f"; labels are class numbers, not one-hot rows: {name}.argmax(axis=-1)"
    return ValueError(f"{name}: expected shape {expected}, found {array.shape}{hint}")


def _outside(name, what, limit, array, own, place):
    # The error of the first integer of `own`, a copy of the array, that is not from 0 to limit - 1.
    found = int(own.flat[place])
    if array.dtype.kind == "u" and found < 0:
        found += 1 << 64
    position = ", ".join(map(str, np.unravel_index(place, own.shape)))
    return ValueError(f"{name}: expected {what} from 0 to {limit - 1}, found {found} at position {position}")


def _learning_rate(rate):
    numbers = (int, float, np.integer, np.floating)
    if not isinstance(rate, numbers) or isinstance(rate, (bool, np.timedelta64)):
        raise TypeError(f"learning_rate: expected a number, found {_shown(rate)}")
    try:
        number = float(rate)
    except OverflowError:
        number = math.inf
    if not 0 <= number <= _LARGEST:
        raise ValueError(f"learning_rate: expected a finite number, 0 or more, found {_shown(rate)}")
    return number


def _thread_count(count):
    count = _whole("threads", count)
    if count < 1:
        raise ValueError(f"threads: expected a positive integer, found {_shown(count)}")
    if count > _MOST_THREADS:
        warnings.warn(
            f"threads: at most {_MOST_THREADS} can take part in a step, found {_shown(count)}", stacklevel=2
        )
    return min(count, _MOST_THREADS)


def _named(names, parameters):
    # Parameters by their names, or by that of their layer.
    found = set()
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"expected names of parameters or layers, found {_shown(name)}")
        own = [one for one in parameters if one == name or one.startswith(f"{name}.")]
        if not own:
            raise ValueError(f"expected names of parameters or layers, of {', '.join(map(repr, parameters))}, found {name!r}")
        found.update(own)
    return frozenset(found)


def _every_gradient(gradients, parameters):
    # A gradient of the right shape for every parameter.
    if not hasattr(gradients, "items"):
        raise TypeError(f"gradients: expected a mapping from names to arrays, found {type(gradients).__name__}")
    taken = {}
    for name, gradient in gradients.items():
        if name not in parameters:
            raise ValueError(f"gradients: expected those of {', '.join(map(repr, parameters))}, found {name!r}")
        taken[name] = _shaped(f"gradients[{name!r}]", gradient, parameters[name].shape)
    missing = [name for name in parameters if name not in taken]
    if missing:
        raise ValueError(f"gradients: expected one of every parameter, found none of {', '.join(map(repr, missing))}")
    return taken


def _every_sum(sums):
    # The sums of metrics, each with its place.
    if not hasattr(sums, "items"):
        raise TypeError(f"sums: expected a mapping from names to numbers, found {type(sums).__name__}")
    missing = [name for name, _, _ in _SUMS if name not in sums]
    if missing:
        raise ValueError(f"sums: expected one of every name that evaluate gives, found none of {', '.join(map(repr, missing))}")
    return [(_shaped(f"sums[{name!r}]", sums[name], shape), first) for name, shape, first in _SUMS]


def _absent(mode):
    return RuntimeError(
        f"this module was compiled without {mode}; compile the model with --modes {','.join((*MODES[1:], mode))}"
    )
