"""In which pieces a product or a convolution is worked through. Imports no Numba.

    block    rows, or pixels of an image, that all columns are done for before the next ones; 0: all. Weights are then fetched
             once, but the input again for each panel of them; with blocks it is the other way round
    cut      taps times channels of a wide panel of weights that are done for all pixels of a block before the next ones; 0:
             what fits a common cache

A compiled program says 0. No sum is added in another order, so all give the same bits; which is quickest is decided by the
caches of a machine, and measured there (`rt_engine.tune`).
"""

BLOCK, CUT_AT = "block", "cut"
"""The names of the fields."""
