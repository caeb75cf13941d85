def _aligned(count, dtype, times=1):
    """A zeroed array of so many times `count` values whose first is at a multiple of 64 bytes."""
    size = np.dtype(dtype).itemsize * count * times
    room = np.zeros(size + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    return room[start:start + size].view(dtype)


def _laid_out(array, start, shape):
    """Where a tensor lies in a flat array: a view."""
    return array[start:start + math.prod(shape)].reshape(shape)


def _of_batch(array, start, batch, shape):
    """Where values of each example of a batch lie, behind `start` others of each: a view (batch, *shape)."""
    start *= batch
    return array[start:start + batch * math.prod(shape)].reshape(batch, *shape)


def _views(arena, layout=_PARAMETERS):
    return {name: _laid_out(arena, offset, shape) for name, shape, offset in layout}


def _mappings(arena, states, behind):
    """Of a network's parameters, of the states `behind` the slots of its optimiser, and of these.

    Read-only mappings of writable arrays: to bind a name to another array would change nothing.
    """
    slots = {}
    for slot, values in zip(_SLOTS, states[:behind].reshape(len(_SLOTS), -1) if behind else ()):
        slots.update({f"{slot}/{name}": view for name, view in _views(values).items()})
    return map(types.MappingProxyType, (_views(arena), _views(states[behind:], _STATES), slots))


def _set_apart(network, gradients):
    """What an update is not to change, with its values; gradients of it are 0, in the norm of all too."""
    kept = []
    for name in network.frozen:
        gradients[name][...] = 0
        for array in (network.parameters[name], *(network.optimizer_state[f"{slot}/{name}"] for slot in _SLOTS)):
            kept.append((array, array.copy()))
    return kept


def _put_back(kept):
    for array, values in kept:
        array[...] = values


class Gradients(dict):
    """Gradients by the names of parameters. `flat` is the array (ARENA,) that they lie in, with zeros between."""

    __slots__ = ("flat",)

    def __reduce__(self):
        """What is copied or pickled is an ordinary dictionary: its arrays no longer lie in one."""
        return dict, (dict(self),)
