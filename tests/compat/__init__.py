"""Runs parts of the tests with other releases of Ray and of Python; see `make compat`."""
