/* The program that a station is measured against: read (FC 3), compute, write (FC 16), each millisecond, on libmodbus.
 *   rival PORT */
#include <errno.h>
#include <modbus.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

enum { FLOATS = 4, PERIOD_NS = 1000000, NS_PER_S = 1000000000 };

/* High word first. libmodbus 3.1.6 has modbus_get_float_abcd for this, which swaps the bytes once too often. */
static float get(const uint16_t *at)
{
    uint32_t bits = (uint32_t)at[0] << 16 | at[1];
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static void put(float value, uint16_t *at)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    at[0] = bits >> 16;
    at[1] = bits;
}

int main(int argc, char **argv)
{
    modbus_t *device = modbus_new_tcp("127.0.0.1", argc == 2 ? atoi(argv[1]) : 0);
    struct sched_param priority = {.sched_priority = 80};
    struct timespec tick;
    uint16_t x[2 * FLOATS], y[2 * FLOATS];
    mlockall(MCL_CURRENT | MCL_FUTURE);
    sched_setscheduler(0, SCHED_FIFO, &priority);
    prctl(PR_SET_TIMERSLACK, 1);
    modbus_set_slave(device, 1);
    if (modbus_connect(device) < 0)
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &tick);
    for (;;) {
        if (modbus_read_registers(device, 100, 2 * FLOATS, x) < 0)
            return 1;
        for (int i = 0; i < FLOATS; i++)
            put(0.5f * get(x + 2 * i) + 0.25f, y + 2 * i);
        if (modbus_write_registers(device, 0, 2 * FLOATS, y) < 0)
            return 1;
        if ((tick.tv_nsec += PERIOD_NS) >= NS_PER_S) {
            tick.tv_nsec -= NS_PER_S;
            tick.tv_sec++;
        }
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL) == EINTR)
            ;
    }
}
