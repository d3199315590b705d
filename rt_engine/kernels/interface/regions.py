"""Records of `kernels.regions`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

ROI_ALIGN = Fields(
    "roi_align",
    operands="x regions items out",
    sizes="images channels height width count out_height out_width samples mode half",
    params="scale",
)
"""`items` (int64) has the image of each of `count` regions; `mode` is of `sample_modes`."""

MAX_ROI_POOL = Fields(
    "max_roi_pool",
    operands="x regions out",
    sizes="images channels height width count out_height out_width",
    params="scale",
)
"""A region begins with the number of its image."""

PUT_BACK = Fields("put_back", operands="x index out", sizes="count nbytes limit")
"""out[index[i]] = x[i], elements of 4 or 8 bytes; `limit` is how many out has."""
