/* One request after another, to several servers in turn, so that all of them meet the same moments of the machine.
 *   client INTERVAL_US WARM COUNT (HOST PORT REQUEST_HEX REPLY_BYTES)...
 * Writes to standard output, for each server: the last reply, then COUNT times of a round trip (int64, nanoseconds).
 * INTERVAL_US is the pause before each request; 0: none. Ends with 1 when a server is gone or says nothing for 5 s. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8, BYTES = 2048 };

struct server {
    int fd;
    size_t request_bytes, reply_bytes;
    unsigned char request[BYTES], reply[BYTES];
    int64_t *times;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_server(struct server *server, char **words, long count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
    struct timeval patience = {.tv_sec = 5};
    int on = 1;
    inet_pton(AF_INET, words[0], &address.sin_addr);
    server->request_bytes = strlen(words[2]) / 2;
    server->reply_bytes = atoi(words[3]);
    server->times = malloc(count * sizeof *server->times);
    for (size_t i = 0; i < server->request_bytes; i++)
        sscanf(words[2] + 2 * i, "%2hhx", &server->request[i]);
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return connect(server->fd, (struct sockaddr *)&address, sizeof address);
}

static int64_t exchange(struct server *server)
{
    int64_t start = now_ns();
    size_t got = 0;
    if (send(server->fd, server->request, server->request_bytes, 0) != (ssize_t)server->request_bytes)
        return -1;
    while (got < server->reply_bytes) {
        ssize_t n = recv(server->fd, server->reply + got, server->reply_bytes - got, 0);
        if (n <= 0)
            return -1;
        got += n;
    }
    return now_ns() - start;
}

int main(int argc, char **argv)
{
    static struct server servers[MOST];
    int many = (argc - 4) / 4;
    long interval_us = atol(argv[1]), warm = atol(argv[2]), count = atol(argv[3]);
    struct timespec pause = {.tv_sec = interval_us / 1000000, .tv_nsec = interval_us % 1000000 * 1000};
    if (many > MOST)
        return 2;
    for (int s = 0; s < many; s++)
        if (open_server(&servers[s], argv + 4 + 4 * s, count) < 0)
            return 1;
    for (long i = -warm; i < count; i++)
        for (int s = 0; s < many; s++) {
            if (interval_us)
                clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
            int64_t ns = exchange(&servers[s]);
            if (ns < 0)
                return 1;
            if (i >= 0)
                servers[s].times[i] = ns;
        }
    for (int s = 0; s < many; s++) {
        fwrite(servers[s].reply, 1, servers[s].reply_bytes, stdout);
        fwrite(servers[s].times, sizeof(int64_t), count, stdout);
    }
    return 0;
}
