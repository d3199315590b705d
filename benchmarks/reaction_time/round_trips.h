/* What the C programs share: a cycle of a millisecond on a real-time thread, and the times of its exchanges.
 * At SIGTERM the program ends, and the file has each (int64, ns). */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

enum { PERIOD_NS = 1000000, NS_PER_S = 1000000000, SAMPLES = 1000000 };

static volatile sig_atomic_t is_over;
static struct timespec tick;
static int64_t times[SAMPLES];
static size_t done;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void end(int number)
{
    (void)number;
    is_over = 1;
}

static void be_real_time(void)
{
    struct sched_param priority = {.sched_priority = 80};
    signal(SIGTERM, end);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    sched_setscheduler(0, SCHED_FIFO, &priority);
    prctl(PR_SET_TIMERSLACK, 1);
    clock_gettime(CLOCK_MONOTONIC, &tick);
}

/* Keep what an exchange took, and sleep until the next tick; gives whether there is one. */
static int next_tick(int64_t begin_ns)
{
    if (done < SAMPLES)
        times[done++] = now_ns() - begin_ns;
    if ((tick.tv_nsec += PERIOD_NS) >= NS_PER_S) {
        tick.tv_nsec -= NS_PER_S;
        tick.tv_sec++;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL) == EINTR && !is_over)
        ;
    return !is_over;
}

static int keep(const char *path)
{
    FILE *file = fopen(path, "wb");
    return file == NULL || fwrite(times, sizeof *times, done, file) < done || fclose(file);
}
