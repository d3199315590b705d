/* Modbus TCP devices that measure: see device.h. Holding registers, float32, high word first: x at 100..107, y at 0..7.
 * Function codes 3, 16 and 23, these registers all at once; each device has a port of its own. */
#define WIRE(bits) htonl(bits)
#define ADDRESS INADDR_LOOPBACK
#define PORT 0
#include "device.h"

enum { X_AT = 100, Y_AT = 0 };

static int word(const unsigned char *at) { return at[0] << 8 | at[1]; }

/* The answer's bytes behind the unit, in `out`. */
static int carry_out(struct device *d, const unsigned char *pdu, unsigned char *out, int64_t now)
{
    int function = pdu[0], at = word(pdu + 1), many = word(pdu + 3);
    out[0] = function;
    if (function == 3 && at == X_AT && many == 2 * FLOATS) {
        out[1] = BYTES;
        put_x(d, out + 2);
        return 2 + BYTES;
    }
    if (function == 16 && at == Y_AT && many == 2 * FLOATS) {
        take_y(d, pdu + 6, now);
        memcpy(out + 1, pdu + 1, 4);
        return 5;
    }
    if (function == 23 && at == X_AT && many == 2 * FLOATS && word(pdu + 5) == Y_AT && word(pdu + 7) == 2 * FLOATS) {
        take_y(d, pdu + 10, now);
        out[1] = BYTES;
        put_x(d, out + 2);
        return 2 + BYTES;
    }
    out[0] |= 0x80;
    out[1] = function == 3 || function == 16 || function == 23 ? 2 : 1;
    return 2;
}

static size_t whole(const unsigned char *frame, size_t got)
{
    return got >= 6 && got >= 6u + word(frame + 4) ? 6 + word(frame + 4) : 0;
}

static size_t answer(struct device *d, const unsigned char *frame, unsigned char *out, int64_t now)
{
    memcpy(out, frame, 7);
    int bytes = carry_out(d, frame + 7, out + 7, now);
    out[4] = 0;
    out[5] = 1 + bytes;
    return 7 + bytes;
}
