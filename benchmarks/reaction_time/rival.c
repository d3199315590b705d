/* The program that a station is measured against: read (FC 3), compute, write (FC 16), each millisecond, on libmodbus.
 *   rival PORT FILE      FILE: see round_trips.h */
#include "floats.h"
#include "round_trips.h"
#include <modbus.h>

enum { FLOATS = 4 };

int main(int argc, char **argv)
{
    modbus_t *device = modbus_new_tcp("127.0.0.1", argc == 3 ? atoi(argv[1]) : 0);
    uint16_t x[2 * FLOATS], y[2 * FLOATS];
    int64_t begin;
    modbus_set_slave(device, 1);
    if (modbus_connect(device) < 0)
        return 1;
    be_real_time();
    do {
        begin = now_ns();
        if (modbus_read_registers(device, 100, 2 * FLOATS, x) < 0)
            return 1;
        for (int i = 0; i < FLOATS; i++)
            put(0.5f * get(x + 2 * i) + 0.25f, y + 2 * i);
        if (modbus_write_registers(device, 0, 2 * FLOATS, y) < 0)
            return 1;
    } while (next_tick(begin));
    return keep(argv[2]);
}
