"""What the profiling kernel and Python agree on."""

import numpy as np

PROFILE = np.dtype(
    [
        ("table", "<i8"),  # addresses of the real kernels
        ("records", "<i8"),
        ("times", "<i8"),  # nanoseconds of each record, added up
        ("counts", "<i8"),  # how often each record ran
        ("timespec", "<i8", 2),
    ]
)
PROFILE_WORD = 6
"""Which spare word of an arena's header holds the address of the profile, while there is one."""
