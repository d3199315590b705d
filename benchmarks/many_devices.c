/* The program that a station with many devices is measured against: a thread for each, read (FC 3), compute, write (FC 16)
 * in its cycle, on libmodbus.
 *   many_devices (PORT PERIOD_US)... FILE       FILE stays as it is */
#include "reaction_time/floats.h"
#include <errno.h>
#include <modbus.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { FLOATS = 4, NS_PER_S = 1000000000, STACK = 1 << 16 };

static void *talk(void *words)
{
    modbus_t *device = modbus_new_tcp("127.0.0.1", atoi(((char **)words)[0]));
    long period_ns = atol(((char **)words)[1]) * 1000;
    struct sched_param priority = {.sched_priority = period_ns < 5000000 ? 80 : 70};
    struct timespec tick;
    uint16_t x[2 * FLOATS], y[2 * FLOATS];
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
    prctl(PR_SET_TIMERSLACK, 1);
    modbus_set_slave(device, 1);
    if (modbus_connect(device) < 0)
        exit(1);
    clock_gettime(CLOCK_MONOTONIC, &tick);
    for (;;) {
        if (modbus_read_registers(device, 100, 2 * FLOATS, x) < 0)
            exit(1);
        for (int i = 0; i < FLOATS; i++)
            put(0.5f * get(x + 2 * i) + 0.25f, y + 2 * i);
        if (modbus_write_registers(device, 0, 2 * FLOATS, y) < 0)
            exit(1);
        if ((tick.tv_nsec += period_ns) >= NS_PER_S) {
            tick.tv_nsec -= NS_PER_S;
            tick.tv_sec++;
        }
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL) == EINTR)
            ;
    }
}

int main(int argc, char **argv)
{
    pthread_attr_t small;
    pthread_t thread;
    mlockall(MCL_CURRENT | MCL_FUTURE);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    for (int i = 1; i + 1 < argc; i += 2)
        if (pthread_create(&thread, &small, talk, argv + i))
            return 1;
    pause();
}
