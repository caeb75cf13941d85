def _pickled(network):
    if getattr(sys.modules.get(__name__), "_unpickled", None) is not _unpickled:
        raise TypeError(
            f"this network cannot be pickled: a pickle holds the name of the network's module, and {__name__!r} does "
            "not stand for that module, which was not imported by its name, or was compiled and loaded again since; "
            f"make the network with the module that `from generated import {MODEL_NAME}` gives"
        )
    kinds = ("parameters", "state", "optimizer_state", "example_state")
    arrays = [kind for kind in kinds if hasattr(network, kind)]
    state = {kind: {name: array.copy() for name, array in getattr(network, kind).items()} for kind in arrays}
    for number in ("step", "seed", "learning_rate", "threads", "frozen"):
        state[number] = getattr(network, number)
    state["attributes"] = dict(getattr(network, "__dict__", {}))
    return _unpickled, (MODEL_NAME, MODEL_HASH, None if type(network) is Network else type(network)), state


def _restore(network, state):
    groups = {kind: getattr(network, kind) for kind in ("parameters", "state", "optimizer_state")}
    for kind, arrays in groups.items():
        expected = {name: array.shape for name, array in arrays.items()}
        found = {name: np.shape(array) for name, array in state[kind].items()}
        if found != expected:
            raise ValueError(f"pickled {kind}: expected the shapes {expected}, found {found}")
    frozen = _named(state.get("frozen", ()), network.parameters)
    if "example_state" in state:
        network.example_state = state["example_state"]
    for number in ("step", "seed", "learning_rate", "threads"):
        setattr(network, number, state[number])
    network.unfreeze()
    network.freeze(*frozen)
    for kind, arrays in groups.items():
        for name, array in arrays.items():
            array[...] = state[kind][name]
    for name, value in state["attributes"].items():
        setattr(network, name, value)


def _with_attributes(other, network, memo):
    for name, value in getattr(network, "__dict__", {}).items():
        setattr(other, name, copy.deepcopy(value, memo))
    return other


def _unpickled(name, digest, kind):
    """A network for what was pickled. Raises ValueError when that was one of another model than this module's."""
    if (name, digest) != (MODEL_NAME, MODEL_HASH):
        raise ValueError(
            f"the pickled network is one of the model {name!r} with the hash {digest}, and the module {__name__} holds "
            f"the model {MODEL_NAME!r} with the hash {MODEL_HASH}; compile the model that it was pickled from again"
        )
    return Network.__new__(Network if kind is None else kind)


# pickle finds a function by this name; Cython, which may have compiled it, knows the module's own and not the package's.
_unpickled.__module__ = __name__
