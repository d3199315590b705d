/* Floats in registers, for programs on libmodbus. */
#include <stdint.h>
#include <string.h>

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
