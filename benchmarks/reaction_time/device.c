/* Modbus TCP devices that measure how long a value takes through whatever talks to them.
 *   device COUNT SAMPLES            COUNT devices, each with a port of its own and room for SAMPLES times of each kind
 * Writes {"ports": [...], "fifo": 0 or 1} to standard output. Holding registers of each, float32, high word first:
 *   100..107  x   how often the sensor has changed; the number of this answer; minus the first; 1
 *     0..7    y   what x became: 0.5 * x + 0.25, or -1: the safe value
 * Function codes 3, 16 and 23, these registers all at once. The sensor changes by the clock, every CHANGE_NS: no timer
 * disturbs the machine. Kinds of times, in ns:
 *   exchange  from an answer that holds x to the first write that was made of that very answer
 *   register  from a change of the sensor to the first write that was made of it, or of a later one; at the end, changes that
 *             wait for longer than LONG_NS count with their time so far
 *   gap       from one answer that holds x to the next
 * Standard input: "go" begins anew; "stop FILE" writes for each device and kind a count and as many int64, and says the
 * counts as JSON; end of file ends. Locked memory, SCHED_FIFO 90 where that is allowed: a device has a processor of its own. */
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

enum { FLOATS = 4, BYTES = 4 * FLOATS, X_AT = 100, Y_AT = 0, RING = 4096, MOST = 256, FRAME = 300, KINDS = 3 };
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
        bits = htonl(bits);
        memcpy(out + 4 * i, &bits, 4);
    }
}

static void take_y(struct device *d, const unsigned char *in, int64_t now)
{
    float y[FLOATS];
    for (int i = 0; i < FLOATS; i++) {
        uint32_t bits;
        memcpy(&bits, in + 4 * i, 4);
        bits = ntohl(bits);
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

static void drop(struct device *d)
{
    close(d->client);
    d->client = -1;
    d->got = 0;
}

static void serve(struct device *d)
{
    unsigned char answer[FRAME];
    ssize_t n = recv(d->client, d->frame + d->got, FRAME - d->got, MSG_DONTWAIT);
    int64_t now = now_ns();
    if (n <= 0) {
        drop(d);
        return;
    }
    d->got += n;
    while (d->got >= 6 && d->got >= 6u + word(d->frame + 4)) {
        size_t whole = 6 + word(d->frame + 4);
        memcpy(answer, d->frame, 7);
        int bytes = carry_out(d, d->frame + 7, answer + 7, now);
        answer[4] = 0;
        answer[5] = 1 + bytes;
        if (send(d->client, answer, 7 + bytes, MSG_NOSIGNAL) < 0) {
            drop(d);
            return;
        }
        d->got -= whole;
        memmove(d->frame, d->frame + whole, d->got);
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
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    d->client = -1;
    d->listener = socket(AF_INET, SOCK_STREAM, 0);
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
    printf("], \"fifo\": %d}\n", sched_setscheduler(0, SCHED_FIFO, &priority) == 0);
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
