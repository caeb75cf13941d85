# cython: boundscheck=False, wraparound=False, cdivision=True
"""Soft-DTW with its gradient as people write it by hand: three loops forward, three backward, in double.

After Cuturi and Blondel, "Soft-DTW: a differentiable loss function for time-series" (ICML 2017), algorithms 1
and 2; the expected alignment is the gradient by the distances.
"""

import numpy as np
from libc.math cimport exp, log


cdef inline double softmin(double a, double b, double c) noexcept nogil:
    cdef double least = a
    if b < least:
        least = b
    if c < least:
        least = c
    return least - log(exp(least - a) + exp(least - b) + exp(least - c))


cdef void forward(double[:, ::1] d, double[:, ::1] r) noexcept nogil:
    cdef Py_ssize_t i, j, rows = d.shape[0], columns = d.shape[1]
    for i in range(rows + 1):
        r[i, 0] = 1e30
    for j in range(columns + 1):
        r[0, j] = 1e30
    r[0, 0] = 0
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            r[i, j] = d[i - 1, j - 1] + softmin(r[i - 1, j], r[i - 1, j - 1], r[i, j - 1])


cdef void backward(double[:, ::1] d, double[:, ::1] r, double[:, ::1] e) noexcept nogil:
    cdef Py_ssize_t i, j, rows = d.shape[0], columns = d.shape[1]
    cdef double down, right, both
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            down = right = both = 0
            if i + 1 < rows:
                down = e[i + 1, j] * exp(r[i + 2, j + 1] - r[i + 1, j + 1] - d[i + 1, j])
            if j + 1 < columns:
                right = e[i, j + 1] * exp(r[i + 1, j + 2] - r[i + 1, j + 1] - d[i, j + 1])
            if i + 1 < rows and j + 1 < columns:
                both = e[i + 1, j + 1] * exp(r[i + 2, j + 2] - r[i + 1, j + 1] - d[i + 1, j + 1])
            e[i, j] = 1 if i + 1 == rows and j + 1 == columns else down + right + both


def value_and_grad(double[:, :, ::1] d):
    """The mean over the batch, and its gradient by d (batch, rows, columns)."""
    cdef Py_ssize_t k, batch = d.shape[0]
    cdef double[:, ::1] r = np.empty((d.shape[1] + 1, d.shape[2] + 1))
    gradient = np.empty((batch, d.shape[1], d.shape[2]))
    cdef double[:, :, ::1] e = gradient
    cdef double total = 0
    with nogil:
        for k in range(batch):
            forward(d[k], r)
            total += r[d.shape[1], d.shape[2]]
            backward(d[k], r, e[k])
    gradient /= batch
    return total / batch, gradient
