"""Become another program, as `rt_native.isolated` has prepared this process for it: `rt_native.program PROGRAM ARGUMENT ...`"""

import os
import sys

if __name__ == "__main__":
    os.execvp(sys.argv[1], sys.argv[1:])
