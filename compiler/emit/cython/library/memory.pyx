cdef object _grown(array, Py_ssize_t count, Py_ssize_t times=1):
    """The array, or where it is too small a zeroed one of so many times `count` values."""
    return _aligned(count, array.dtype, times) if count * times > <Py_ssize_t>array.size else array
