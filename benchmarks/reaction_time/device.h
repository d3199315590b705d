/* Devices that measure how long a value takes through whatever talks to them; a protocol makes a program of it.
 *   device COUNT SAMPLES            COUNT devices, each with room for SAMPLES times of each kind
 * Writes {"ports": [...], "host": ..., "fifo": 0 or 1} to standard output. The values of each, float32:
 *   x   how often the sensor has changed; the number of this answer; minus the first; 1
 *   y   what x became: 0.5 * x + 0.25, or -1: the safe value
 * The sensor changes by the clock, every CHANGE_NS: no timer disturbs the machine. Kinds of times, in ns:
 *   exchange  from an answer that holds x to the first write that was made of that very answer
 *   register  from a change of the sensor to the first write that was made of it, or of a later one; at the end, changes that
 *             wait for longer than LONG_NS count with their time so far
 *   gap       from one answer that holds x to the next
 * Standard input: "go" begins anew; "stop FILE" writes for each device and kind a count and as many int64, and says the
 * counts as JSON; end of file ends. Locked memory, SCHED_FIFO 90 where that is allowed: a device has a processor of its own.
 *
 * The including file defines WIRE(bits), a float's bits as they travel; ADDRESS and PORT where the first listens, each other
 * one address further, or, with port 0, anywhere. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FLOATS = 4, BYTES = 4 * FLOATS, RING = 4096, MOST = 256, FRAME = 4096, KINDS = 3 };
enum { EXCHANGE, REGISTER, GAP };
#define CHANGE_NS 1370137LL /* no multiple of a cycle: changes fall anywhere in it */
#define LONG_NS 20000000LL

struct device {
    int listener, client;
    size_t got;
    unsigned char frame[FRAME];
    int64_t answered[RING], last_answer_ns, serial, last_serial, last_change;
    int64_t *times[KINDS], counts[KINDS];
    long reads, writes, safe, wrong, full, connections;
};

static struct device devices[MOST];
static struct pollfd polled[1 + 2 * MOST];
static int count;
static int64_t samples, begin_ns;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void add(struct device *d, int kind, int64_t ns)
{
    if (d->counts[kind] < samples)
        d->times[kind][d->counts[kind]++] = ns;
    else
        d->full++;
}

static int64_t change_of(int64_t ns) { return (ns - begin_ns) / CHANGE_NS; }

static int64_t changed_ns(int64_t change) { return begin_ns + change * CHANGE_NS; }

static void put_x(struct device *d, unsigned char *out)
{
    int64_t now = now_ns(), change = change_of(now);
    float x[FLOATS] = {(float)change, (float)++d->serial, (float)-change, 1.0f};
    d->answered[d->serial % RING] = now;
    if (d->last_answer_ns)
        add(d, GAP, now - d->last_answer_ns);
    d->last_answer_ns = now;
    d->reads++;
    for (int i = 0; i < FLOATS; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], 4);
        bits = WIRE(bits);
        memcpy(out + 4 * i, &bits, 4);
    }
}

static void take_y(struct device *d, const unsigned char *in, int64_t now)
{
    float y[FLOATS];
    for (int i = 0; i < FLOATS; i++) {
        uint32_t bits;
        memcpy(&bits, in + 4 * i, 4);
        bits = WIRE(bits);
        memcpy(&y[i], &bits, 4);
    }
    d->writes++;
    if (y[0] == -1.0f && y[1] == -1.0f) {
        d->safe++;
        return;
    }
    int64_t change = (int64_t)((y[0] - 0.25f) * 2), serial = (int64_t)((y[1] - 0.25f) * 2);
    if (y[0] != 0.5f * change + 0.25f || y[1] != 0.5f * serial + 0.25f || y[2] != -0.5f * change + 0.25f ||
        y[3] != 0.75f || serial > d->serial || serial <= d->serial - RING || serial < d->last_serial) {
        d->wrong++;
        return;
    }
    if (serial > d->last_serial)
        add(d, EXCHANGE, now - d->answered[serial % RING]);
    d->last_serial = serial;
    for (; d->last_change < change; d->last_change++)
        add(d, REGISTER, now - changed_ns(d->last_change + 1));
}

/* What a protocol is: */
static size_t whole(const unsigned char *frame, size_t got); /* length of the first frame; 0: it is not there yet */
static size_t answer(struct device *d, const unsigned char *frame, unsigned char *out, int64_t now); /* its length */

static void drop(struct device *d)
{
    close(d->client);
    d->client = -1;
    d->got = 0;
}

static void serve(struct device *d)
{
    unsigned char out[FRAME];
    ssize_t n = recv(d->client, d->frame + d->got, FRAME - d->got, MSG_DONTWAIT);
    int64_t now = now_ns();
    size_t bytes;
    if (n <= 0) {
        drop(d);
        return;
    }
    d->got += n;
    while ((bytes = whole(d->frame, d->got))) {
        if (send(d->client, out, answer(d, d->frame, out, now), MSG_NOSIGNAL) < 0) {
            drop(d);
            return;
        }
        d->got -= bytes;
        memmove(d->frame, d->frame + bytes, d->got);
    }
}

static void let_in(struct device *d)
{
    int on = 1;
    if (d->client >= 0)
        drop(d);
    d->client = accept(d->listener, NULL, NULL);
    setsockopt(d->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    d->connections++;
}

static void go(void)
{
    for (struct device *d = devices; d < devices + count; d++) {
        memset(d->counts, 0, sizeof d->counts);
        d->reads = d->writes = d->safe = d->wrong = d->full = d->connections = 0;
        d->last_answer_ns = 0;
        d->last_change = change_of(now_ns());
    }
    puts("{}");
}

static void stop(const char *path)
{
    FILE *file = fopen(path, "wb");
    long reads = 0, writes = 0, safe = 0, wrong = 0, full = 0, connections = 0;
    int64_t now = now_ns();
    for (struct device *d = devices; d < devices + count; d++) {
        for (int64_t c = d->last_change + 1; changed_ns(c) < now - LONG_NS; c++)
            add(d, REGISTER, now - changed_ns(c));
        for (int kind = 0; kind < KINDS && file; kind++) {
            fwrite(&d->counts[kind], 8, 1, file);
            fwrite(d->times[kind], 8, d->counts[kind], file);
        }
        reads += d->reads, writes += d->writes, safe += d->safe, wrong += d->wrong, full += d->full;
        connections += d->connections;
    }
    if (file)
        fclose(file);
    printf("{\"reads\": %ld, \"writes\": %ld, \"safe\": %ld, \"wrong\": %ld, \"full\": %ld, \"connections\": %ld}\n", reads,
           writes, safe, wrong, full, connections);
}

static int command(void)
{
    char line[1024];
    ssize_t n = read(0, line, sizeof line - 1);
    if (n <= 0)
        return 0;
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, "go") == 0)
        go();
    else
        stop(line + strlen("stop "));
    fflush(stdout);
    return 1;
}

static int open_device(struct device *d)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    socklen_t size = sizeof address;
    int on = 1;
    d->client = -1;
    d->listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(d->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    address.sin_addr.s_addr = htonl(ADDRESS + (PORT ? d - devices : 0));
    if (bind(d->listener, (struct sockaddr *)&address, size) < 0 || listen(d->listener, 1) < 0)
        exit(1);
    getsockname(d->listener, (struct sockaddr *)&address, &size);
    for (int kind = 0; kind < KINDS; kind++)
        d->times[kind] = calloc(samples, 8);
    return ntohs(address.sin_port);
}

int main(int argc, char **argv)
{
    struct sched_param priority = {.sched_priority = 90};
    if (argc != 3 || (count = atoi(argv[1])) < 1 || count > MOST)
        return 2;
    samples = atol(argv[2]);
    begin_ns = now_ns();
    printf("{\"ports\": [");
    for (int i = 0; i < count; i++)
        printf("%s%d", i ? ", " : "", open_device(&devices[i]));
    mlockall(MCL_CURRENT | MCL_FUTURE);
    printf("], \"host\": \"%s\", \"fifo\": %d}\n", inet_ntoa((struct in_addr){htonl(ADDRESS)}), sched_setscheduler(0, SCHED_FIFO, &priority) == 0);
    fflush(stdout);
    for (;;) {
        polled[0] = (struct pollfd){.fd = 0, .events = POLLIN};
        for (int i = 0; i < count; i++) {
            polled[1 + 2 * i] = (struct pollfd){.fd = devices[i].listener, .events = POLLIN};
            polled[2 + 2 * i] = (struct pollfd){.fd = devices[i].client, .events = POLLIN};
        }
        poll(polled, 1 + 2 * count, -1);
        for (int i = 0; i < count; i++) {
            if (polled[2 + 2 * i].revents)
                serve(&devices[i]);
            if (polled[1 + 2 * i].revents)
                let_in(&devices[i]);
        }
        if (polled[0].revents && !command())
            return 0;
    }
}
