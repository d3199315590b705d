/* The program that an ADS link is measured against: the link's frames, once a millisecond: a sum read of x, symbol version and
 * state, compute, a sum write of y.
 *   ads_rival HOST FILE      FILE: see round_trips.h */
#include "round_trips.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { PORT = 48898, HEAD = 38, BYTES = 16, FLOATS = 4, ITEMS = 3 };
typedef const uint32_t item[3]; /* group, offset, size */

/* A ReadWrite's frame with room for its values; gives its length. */
static size_t question(unsigned char *frame, uint32_t group, uint32_t answer_bytes, item *items, uint32_t count,
                       uint32_t values)
{
    uint32_t data[4] = {group, count, answer_bytes, 12 * count + values}, bytes = 16 + data[3], length = 32 + bytes;
    const unsigned char ends[16] = {127, 77, 0, 1, 1, 1, 0x53, 3, 127, 0, 0, 1, 1, 1, 0x30, 0x75}; /* ports 851, 30000 */
    memset(frame, 0, HEAD);
    memcpy(frame + 2, &length, 4);
    memcpy(frame + 6, ends, 16);
    frame[22] = 9;
    frame[24] = 4;
    memcpy(frame + 26, &bytes, 4);
    memcpy(frame + HEAD, data, 16);
    memcpy(frame + HEAD + 16, items, 12 * count);
    return HEAD + bytes;
}

/* One round trip, numbered; ends the program when it is refused. */
static void ask(int device, unsigned char *frame, size_t bytes, unsigned char *answer, size_t whole)
{
    static uint32_t invoke;
    const uint32_t none = 0;
    invoke++;
    memcpy(frame + 34, &invoke, 4);
    if (send(device, frame, bytes, MSG_NOSIGNAL) < 0 || recv(device, answer, whole, MSG_WAITALL) < (ssize_t)whole)
        exit(1);
    if (memcmp(answer + 34, &invoke, 4) || memcmp(answer + 30, &none, 4) || memcmp(answer + HEAD, &none, 4))
        exit(1);
}

int main(int argc, char **argv)
{
    static item to_read[ITEMS] = {{0xF005, 1, BYTES}, {0xF008, 0, 1}, {0xF100, 0, 2}}, to_write[1] = {{0xF005, 2, BYTES}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    unsigned char reading[256], writing[256], answer[256];
    size_t read_bytes = question(reading, 0xF080, 4 * ITEMS + BYTES + 3, to_read, ITEMS, 0);
    size_t write_bytes = question(writing, 0xF081, 4, to_write, 1, BYTES);
    int on = 1, device = socket(AF_INET, SOCK_STREAM, 0);
    int64_t begin;
    if (argc != 3 || !inet_aton(argv[1], &address.sin_addr))
        return 2;
    if (connect(device, (struct sockaddr *)&address, sizeof address))
        return 1;
    setsockopt(device, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    be_real_time();
    do {
        float x[FLOATS];
        begin = now_ns();
        ask(device, reading, read_bytes, answer, HEAD + 8 + 4 * ITEMS + BYTES + 3);
        memcpy(x, answer + HEAD + 8 + 4 * ITEMS, BYTES);
        for (int i = 0; i < FLOATS; i++)
            x[i] = 0.5f * x[i] + 0.25f;
        memcpy(writing + write_bytes - BYTES, x, BYTES);
        ask(device, writing, write_bytes, answer, HEAD + 8 + 4);
    } while (next_tick(begin));
    return keep(argv[2]);
}
