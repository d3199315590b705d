"""The record of `kernels.fourier`; its plan and tables are made by `fourier_plan`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

DFT = Fields(
    "dft",
    operands="x window? plan tables scratch out",
    sizes="batches rows x_batch x_row out_row",
    params="sign real imaginary",
    writes="out scratch",
)
"""Rows of x, `batches` times `rows`, times a window where there is one, become rows of out.

sign              factor of imaginary parts that are read
real, imaginary   factors of the real and of the imaginary parts that are written
"""
