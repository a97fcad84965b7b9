"""Arithmetic of whole numbers that are not negative, as the processor has it.

Compiled code divides as Python does, with a remainder's sign looked after and a divisor of 0; where neither can be,
that is left out. Plain Python has only one way.
"""

from typing import Any

from zpmodel.base.accelerate import compiles, kernel

if compiles():
    import numpy as np
    from numba.cpython.unsafe.numbers import trailing_zeros as _trailing_zeros

    @kernel
    def trailing_zeros(number: Any) -> Any:
        """Zeros below the lowest bit of a positive number; the logarithm of a power of two."""
        return _trailing_zeros(number)  # type: ignore[call-arg]

    @kernel
    def quotient(number: Any, by: Any) -> Any:
        """Whole quotient of a number that is not negative by a positive one."""
        return np.int64(np.uint64(number) // np.uint64(by))

else:

    def trailing_zeros(number: Any) -> Any:
        """Zeros below the lowest bit of a positive number; the logarithm of a power of two."""
        return int(number & -number).bit_length() - 1

    def quotient(number: Any, by: Any) -> Any:
        """Whole quotient of a number that is not negative by a positive one."""
        return number // by
