"""Helpers outside of tasks: they may sleep, and be woken. Apart from the kernels, which know no semaphore.

help_anyone  take pieces from above -> sleep when there were none for long, until woken        the thread of a helper
ask, answer  how long a cache line takes to another core and back                              two threads (`run.distance`)
"""

from rt_engine.run.team_block import HELPER, TEAM
from rt_engine.run.team_native import help_now, helper_at, high_of, low_of
from rt_native.lang import (
    atomic_exchange,
    atomic_load,
    atomic_store,
    export,
    flush_denormals,
    inline,
    load_i64,
    now_ns,
    restore_float_mode,
    stack,
)
from rt_native.memory import offsets
from rt_native.spinning import pause, sem_init, sem_post, sem_wait

_T, _H = offsets(TEAM), offsets(HELPER)
_CLAIMS, _HELPERS, _STOP, _AWAKE = _T.claims, _T.helpers, _T.stop, _T.awake_ns
_ASLEEP, _SEMAPHORE = _H.asleep, _H.semaphore
_LOOKS = 32  # between two looks at the clock
_TRIPS = 32  # of a line, timed together
_NEVER = 1 << 62


@export
def help_anyone(team, number):
    """The thread of a helper: it sleeps when it found nothing for `awake_ns`, until it is woken. Gives how many pieces it did."""
    helper, mode, timespec, done = helper_at(team, number), flush_denormals(), stack(16), 0
    since, looks = now_ns(timespec), 0
    while atomic_load(team + _STOP) == 0:
        found = help_now(team, helper)
        done += found
        pause()
        looks += 1
        if found != 0:
            since = now_ns(timespec)
        elif looks % _LOOKS == 0 and now_ns(timespec) - since > load_i64(team + _AWAKE):
            atomic_exchange(helper + _ASLEEP, 1)  # whoever publishes from here on sees it, or its pieces are seen here
            claims = atomic_load(team + _CLAIMS)
            if low_of(claims) >= high_of(claims) and atomic_load(team + _STOP) == 0:
                sem_wait(helper + _SEMAPHORE)
            atomic_exchange(helper + _ASLEEP, 0)
            since = now_ns(timespec)
    restore_float_mode(mode)
    return done


@export
def wake_helpers(team):
    """Wake those that sleep; gives 0."""
    for number in range(load_i64(team + _HELPERS)):
        helper = helper_at(team, number)
        if atomic_load(helper + _ASLEEP) != 0 and atomic_exchange(helper + _ASLEEP, 0) != 0:
            sem_post(helper + _SEMAPHORE)
    return 0


@export
def prepare_helpers(team):
    """Make the semaphores; gives 0."""
    for number in range(load_i64(team + _HELPERS)):
        sem_init(helper_at(team, number) + _SEMAPHORE, 0, 0)
    return 0


@export
def stop_helpers(team):
    """Tell all to end, and wake those that sleep; gives 0."""
    atomic_exchange(team + _STOP, 1)
    for number in range(load_i64(team + _HELPERS)):
        helper = helper_at(team, number)
        if atomic_exchange(helper + _ASLEEP, 0) != 0:
            sem_post(helper + _SEMAPHORE)
    return 0


@export
def ask(line, batches, patience):
    """Send a word to who answers, and await it one higher, as often as there are batches of `_TRIPS`, and no longer than
    `patience` nanoseconds in all. Gives the nanoseconds of the quickest batch, 0 where there was none."""
    timespec, word, best = stack(16), 0, _NEVER
    until = now_ns(timespec) + patience
    for _ in range(batches):
        begun = now_ns(timespec)
        for _ in range(_TRIPS):
            word += 1
            atomic_store(line, word)
            if not await_word(line, word + 1, until):
                return 0 if best == _NEVER else best
            word += 1
        best = min(best, now_ns(timespec) - begun)
    atomic_store(line, word + 1)
    return best


@export
def answer(line, batches, patience):
    """Send every odd word back, one higher, as often as it is asked; gives how many."""
    until = now_ns(stack(16)) + patience
    for number in range(batches * _TRIPS):
        if not await_word(line, 2 * number + 1, until):
            return number
        atomic_store(line, 2 * number + 2)
    return batches * _TRIPS


@inline
def await_word(line, word, until):
    """1 when it has come, 0 when it has not in time."""
    timespec, looks = stack(16), 0
    while atomic_load(line) != word:
        pause()
        looks += 1
        if looks % 1024 == 0 and now_ns(timespec) > until:
            return 0
    return 1
