/* What a C programmer would write: frames that are ready, sent on a raw socket each period, and awaited.

   ethercat_loop INTERFACE PERIOD_US CYCLES OUT GROUP...     a group: frames in hex, with + between them

   Frames of a group are under way at once; the next group is sent when all are back. The index of the first datagram is counted, each
   answer checked for index, and its working counters added up. How long each cycle took, in nanoseconds, goes to OUT (int64). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MOST 16
static uint8_t frames[MOST][MOST][1514];
static int lengths[MOST][MOST], counts[MOST], groups;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void parse(char *text) {
    for (char *part = strtok(text, "+"); part; part = strtok(NULL, "+")) {
        uint8_t *frame = frames[groups][counts[groups]];
        int n = strlen(part) / 2;
        for (int i = 0; i < n; i++) {
            unsigned byte;
            sscanf(part + 2 * i, "%2x", &byte);
            frame[i] = byte;
        }
        lengths[groups][counts[groups]++] = n;
    }
    groups++;
}

static long counted(const uint8_t *frame) {
    long sum = 0;
    int at = 16, more = 1;
    while (more) {
        int length = frame[at + 6] | (frame[at + 7] & 7) << 8;
        more = frame[at + 7] & 0x80;
        sum += frame[at + 10 + length] | frame[at + 11 + length] << 8;
        at += length + 12;
    }
    return sum;
}

int main(int argc, char **argv) {
    int64_t period = atoi(argv[2]) * 1000LL;
    int cycles = atoi(argv[3]), lost = 0;
    for (int i = 5; i < argc; i++) parse(argv[i]);
    int fd = socket(AF_PACKET, SOCK_RAW, htons(0x88A4)), on = 1;
    struct timeval patience = {0, 100000};
    struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88A4), .sll_ifindex = if_nametoindex(argv[1])};
    setsockopt(fd, SOL_PACKET, 23, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd < 0 || bind(fd, (struct sockaddr *)&place, sizeof place)) return perror(argv[1]), 1;
    struct sched_param priority = {.sched_priority = 80};
    sched_setscheduler(0, SCHED_FIFO, &priority);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    int64_t *times = calloc(cycles, sizeof *times), due = now();
    uint8_t back[2048], index = 0;
    long sum = 0;
    for (int cycle = 0; cycle < cycles; cycle++) {
        int64_t begun = now();
        for (int g = 0; g < groups; g++) {
            uint8_t first = index;
            for (int f = 0; f < counts[g]; f++) {
                frames[g][f][17] = 0x80 | (index++ & 0x7F);
                if (send(fd, frames[g][f], lengths[g][f], 0) < 0) return perror("send"), 1;
            }
            for (int left = counts[g]; left;) {
                ssize_t got = recv(fd, back, sizeof back, 0);
                if (got < 0) {
                    lost++;
                    break;
                }
                if (got > 28 && (uint8_t)((back[17] & 0x7F) - (first & 0x7F)) % 128 < counts[g]) sum += counted(back), left--;
            }
        }
        times[cycle] = now() - begun;
        due += period;
        struct timespec until = {due / 1000000000LL, due % 1000000000LL};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    FILE *out = fopen(argv[4], "wb");
    fwrite(times, sizeof *times, cycles, out);
    fclose(out);
    printf("%d %ld\n", lost, sum);
    return 0;
}
