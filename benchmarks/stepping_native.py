"""The inner loop of `benchmarks.instructions`: step a stopped process, one machine instruction at a time."""

from numba.extending import intrinsic

from rt_native.lang import _libc, export, load_i32, stack

_SINGLESTEP, _PEEKUSER = 9, 3
_RIP = 128  # offset of the instruction pointer in struct user, x86-64
_STOPPED_BY_TRAP = 0x057F  # status of waitpid(2): stopped, SIGTRAP = 5


@intrinsic
def _ptrace(typingctx, request, pid, address, data):
    """ptrace(2): the lower half of its result."""
    return _libc("ptrace", "iipp")


@intrinsic
def _waitpid(typingctx, pid, status, options):
    """waitpid(2): `status` is the address of 4 bytes."""
    return _libc("waitpid", "ipi")


@export
def step_until(pid, address, most):
    """Step until the instruction at `address` comes next; gives the number of steps, -1 after `most`, -2 if the process ended."""
    status = stack(64)
    wanted = address & 0xFFFFFFFF
    for count in range(1, most + 1):
        _ptrace(_SINGLESTEP, pid, 0, 0)
        _waitpid(pid, status, 0)
        if load_i32(status) != _STOPPED_BY_TRAP:
            return -2
        if (_ptrace(_PEEKUSER, pid, _RIP, 0) & 0xFFFFFFFF) == wanted:
            return count
    return -1
