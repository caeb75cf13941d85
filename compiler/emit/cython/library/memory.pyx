cdef object _rows_of(array, Py_ssize_t count, Py_ssize_t row):
    """The first rows of so many values of a flat array: a view."""
    return array[:count * row].reshape(-1, row)


cdef object _grown(array, Py_ssize_t count, Py_ssize_t times=1):
    """The array, or where it is too small a zeroed one of so many times `count` values."""
    return _aligned(count, array.dtype, times) if count * times > <Py_ssize_t>array.size else array
