if __name__ != MODEL_NAME and getattr(sys.modules.get(MODEL_NAME), "__dict__", None) is globals():
    # Cython enters a module of a package by its bare name too, by which a user may import a file of their own.
    del sys.modules[MODEL_NAME]


def _file_in_place():
    """Which file stands where this module was loaded from; None where there is none."""
    try:
        status = os.stat(__file__)
    except (NameError, OSError):
        return None
    return status.st_dev, status.st_ino


_LOADED_FILE = _file_in_place()


def _warn_if_replaced():
    if _file_in_place() not in (None, _LOADED_FILE):
        name = __name__.rpartition(".")[2]
        warnings.warn(
            f"{__file__} was compiled again after this module was imported, and this is the earlier one: "
            f"{name} = {name}.reload() gives the new one",
            stacklevel=2,
        )


def reload():
    """The module as it was compiled last, for `mnist = mnist.reload()`; an import gives the same from then on.

    importlib.reload cannot do this: the system knows a loaded library by its path. This module and its networks stay
    as they are. Raises OSError when the file has gone, ImportError when it cannot be imported.
    """
    folder, file = os.path.split(os.path.abspath(__file__))
    # A path of its own for each file that ever stood there: the bits of its number, as "//" and "/./".
    number = os.stat(__file__).st_ino
    path = folder + "".join("/." if bit == "1" else "/" for bit in f"{number:b}") + "/" + file
    earlier = sys.modules.get(__name__)
    spec = importlib.util.spec_from_file_location(__name__, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__file__ = spec.origin = os.path.join(folder, file)
    if earlier is None:
        # Nobody has imported this module by name: it was loaded by its file, and only Cython has entered it.
        sys.modules.pop(__name__, None)
    elif getattr(earlier, "__file__", None) == __file__:
        sys.modules[__name__] = module
        package, _, name = __name__.rpartition(".")
        if package in sys.modules:
            setattr(sys.modules[package], name, module)
    return module
