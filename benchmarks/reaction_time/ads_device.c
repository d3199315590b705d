/* An ADS device that measures: see device.h. Symbols MAIN.x and MAIN.y, arrays of four REAL; the symbol version and the state
 * as values; Read, Write, ReadWrite, ReadState, sums of reads, of writes and of look-ups. It listens at a loopback address of
 * its own, at the port that all ADS clients call. Everything else is refused. */
#define WIRE(bits) (bits)
#define ADDRESS 0x7f4d0001
#define PORT 48898
#include "device.h"
#include <strings.h>

enum { TCP = 6, HEAD = TCP + 32, READ = 2, WRITE = 3, STATE = 4, READ_WRITE = 9 };
enum { HANDLE_BY_NAME = 0xF003, BY_HANDLE = 0xF005, RELEASE = 0xF006, VERSION = 0xF008, INFO = 0xF009, SUM_READ = 0xF080 };
enum { SUM_WRITE = 0xF081, SUM_READ_WRITE = 0xF082, DEVICE_DATA = 0xF100, PLACES = 0x4040, HANDLE_X = 1, HANDLE_Y = 2 };
enum { NO_SERVICE = 0x701, NO_GROUP = 0x702, NO_SYMBOL = 0x710, RUN = 5 };

static uint32_t number(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static void put(unsigned char *at, uint32_t value) { memcpy(at, &value, 4); }

/* Bytes at (group, offset), at most `most`; gives how many, or minus the error. */
static int fetch(struct device *d, uint32_t group, uint32_t offset, uint32_t most, unsigned char *out)
{
    if (group == VERSION && most >= 1)
        return out[0] = 1;
    if (group == DEVICE_DATA && offset == 0 && most == 2)
        return out[0] = RUN, out[1] = 0, 2;
    if (((group == BY_HANDLE && offset == HANDLE_X) || (group == PLACES && offset == 0)) && most == BYTES)
        return put_x(d, out), BYTES;
    return -NO_GROUP;
}

/* 0, or the error. */
static int store(struct device *d, uint32_t group, uint32_t offset, uint32_t size, const unsigned char *in, int64_t now)
{
    if (group == RELEASE)
        return 0;
    if (((group == BY_HANDLE && offset == HANDLE_Y) || (group == PLACES && offset == BYTES)) && size == BYTES)
        return take_y(d, in, now), 0;
    return NO_GROUP;
}

/* What a symbol's group tells of a name: its handle, or its description. */
static int look_up(uint32_t group, const unsigned char *name, unsigned char *out)
{
    static const char type[] = "ARRAY [0..3] OF REAL";
    int is_x = strcasecmp((const char *)name, "MAIN.x") == 0;
    if (!is_x && strcasecmp((const char *)name, "MAIN.y") != 0)
        return -NO_SYMBOL;
    if (group == HANDLE_BY_NAME)
        return put(out, is_x ? HANDLE_X : HANDLE_Y), 4;
    uint16_t lengths[3] = {6, sizeof type - 1, 0};
    int total = 30 + 7 + sizeof type + 1;
    uint32_t numbers[6] = {total, PLACES, is_x ? 0 : BYTES, BYTES, 4, 8};
    memset(out, 0, total);
    memcpy(out, numbers, 24);
    memcpy(out + 24, lengths, 6);
    strcpy((char *)out + 30, is_x ? "MAIN.x" : "MAIN.y");
    memcpy(out + 37, type, sizeof type);
    return total;
}

static int sum_read(struct device *d, int count, const unsigned char *items, unsigned char *out)
{
    unsigned char *value = out + 4 * count;
    for (int i = 0; i < count; i++, items += 12) {
        uint32_t size = number(items + 8);
        int got = fetch(d, number(items), number(items + 4), size, value);
        put(out + 4 * i, got < 0 ? -got : 0);
        value += size;
    }
    return value - out;
}

static int sum_write(struct device *d, int count, const unsigned char *items, unsigned char *out, int64_t now)
{
    const unsigned char *value = items + 12 * count;
    for (int i = 0; i < count; i++, items += 12) {
        put(out + 4 * i, store(d, number(items), number(items + 4), number(items + 8), value, now));
        value += number(items + 8);
    }
    return 4 * count;
}

static int sum_look_up(int count, const unsigned char *items, unsigned char *out)
{
    const unsigned char *name = items + 16 * count;
    unsigned char *value = out + 8 * count;
    for (int i = 0; i < count; i++, items += 16) {
        int got = look_up(number(items), name, value);
        put(out + 8 * i, got < 0 ? -got : 0);
        put(out + 8 * i + 4, got < 0 ? 0 : got);
        value += got < 0 ? 0 : got;
        name += number(items + 12);
    }
    return value - out;
}

/* The answer's data behind its length; minus an error. `data` is that of a ReadWrite. */
static int read_write(struct device *d, const unsigned char *data, unsigned char *out, int64_t now)
{
    uint32_t group = number(data), count = number(data + 4);
    if (count > 64)
        return -NO_SERVICE;
    if (group == SUM_READ)
        return sum_read(d, count, data + 16, out);
    if (group == SUM_WRITE)
        return sum_write(d, count, data + 16, out, now);
    if (group == SUM_READ_WRITE)
        return sum_look_up(count, data + 16, out);
    return group == HANDLE_BY_NAME || group == INFO ? look_up(group, data + 16, out) : -NO_GROUP;
}

/* The answer's data. */
static int carry_out(struct device *d, int command, const unsigned char *data, unsigned char *out, int64_t now)
{
    int got = -NO_SERVICE;
    put(out, 0);
    if (command == STATE)
        return put(out + 4, RUN), 8;
    if (command == WRITE)
        return put(out, store(d, number(data), number(data + 4), number(data + 8), data + 12, now)), 4;
    if (command == READ)
        got = fetch(d, number(data), number(data + 4), number(data + 8), out + 8);
    if (command == READ_WRITE)
        got = read_write(d, data, out + 8, now);
    put(out, got < 0 ? -got : 0);
    put(out + 4, got < 0 ? 0 : got);
    return got < 0 ? 8 : 8 + got;
}

static size_t whole(const unsigned char *frame, size_t got)
{
    return got >= HEAD && got >= TCP + number(frame + 2) ? TCP + number(frame + 2) : 0;
}

static size_t answer(struct device *d, const unsigned char *frame, unsigned char *out, int64_t now)
{
    int bytes = carry_out(d, frame[22] | frame[23] << 8, frame + HEAD, out + HEAD, now);
    memcpy(out, frame, HEAD);
    memcpy(out + 6, frame + 14, 8); /* from where it came */
    memcpy(out + 14, frame + 6, 8);
    out[24] = 5; /* a response */
    put(out + 2, 32 + bytes);
    put(out + 26, bytes);
    put(out + 30, 0);
    return HEAD + bytes;
}
