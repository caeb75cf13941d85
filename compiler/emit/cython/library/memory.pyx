def _aligned(Py_ssize_t count, dtype, Py_ssize_t times=1):
    """A zeroed array of so many times `count` values whose first is at a multiple of 64 bytes."""
    size = np.dtype(dtype).itemsize * count * times
    room = np.zeros(size + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    return room[start:start + size].view(dtype)


cdef object _grown(array, Py_ssize_t count, Py_ssize_t times=1):
    """The array, or where it is too small a zeroed one of so many times `count` values."""
    return _aligned(count, array.dtype, times) if count * times > array.size else array


cdef Py_ssize_t _size(shape):
    """Values in an array of this shape."""
    cdef Py_ssize_t count = 1
    for extent in shape:
        count *= extent
    return count


cdef object _laid_out(array, Py_ssize_t start, shape):
    """Where a tensor lies in a flat array: a view."""
    return array[start:start + _size(shape)].reshape(shape)


cdef object _of_batch(array, Py_ssize_t start, Py_ssize_t batch, shape):
    """Where values of each example of a batch lie, behind `start` others of each: a view (batch, *shape)."""
    start *= batch
    return array[start:start + batch * _size(shape)].reshape(batch, *shape)
