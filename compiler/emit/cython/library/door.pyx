# ---------------------------------------------------------------------------------------------------------
# The door: what is given is checked, and what was checked is what the kernels read
# ---------------------------------------------------------------------------------------------------------


cdef object _array(name, given):
    # As an array that nobody else holds, so that no other thread can change its shape or dtype after the checks.
    if type(given) is not np.ndarray:
        given = _as_array(name, given)
    return given.view()


cdef Py_ssize_t _earlier(name, count) except -1:
    # How many examples came before; their numbers and those that follow are unsigned and of 32 bits.
    return _count(name, count, 32)


cdef object _filled(name, array):
    if <Py_ssize_t>array.ndim and <Py_ssize_t>array.shape[0] == 0:
        raise ValueError(f"{name}: the batch is empty")
    return array


cdef object _integers(name, array, Py_ssize_t limit, what):
    # An own copy of integers from 0 to limit - 1. They become addresses without the GIL: in the caller's array
    # another thread could write others after the check.
    if array.dtype.kind not in "iu":
        raise _wrong_values(name, array, what, limit)
    own = np.array(array, dtype=np.int64, order="C")
    cdef Py_ssize_t place = _first_outside(<const int64*>_address(own), own.size, limit)
    if place >= 0:
        raise _outside(name, what, limit, array, own, place)
    return own


cdef Py_ssize_t _first_outside(const int64* values, Py_ssize_t count, Py_ssize_t limit) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(count):
        if values[k] < 0 or values[k] >= limit:
            return k
    return -1


cdef object _reals(array, dtype):
    # As kernels can read it; in place where it is stored so. What another thread writes there is a number like
    # any other: it changes results and no address.
    array = np.ascontiguousarray(array, dtype=dtype)
    return array if array.flags.aligned else array.copy()
