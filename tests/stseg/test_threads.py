"""Small products of matrices use one thread."""

import numpy as np
from threadpoolctl import ThreadpoolController

from stseg.threads import one_thread


def blas_threads():
    found = ThreadpoolController().select(user_api="blas").info()
    return {library["num_threads"] for library in found}


def test_products_use_one_thread_within_the_block_and_as_many_as_before_after_it():
    assert np.ones((2, 2)).dot(np.ones(2)).tolist() == [2, 2]
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = blas_threads()
        with one_thread():
            assert blas_threads() == {1}
        assert blas_threads() == before
