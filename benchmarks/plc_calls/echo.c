/* The floor for any server: takes REQUEST_BYTES, sends REPLY_BYTES. One client at a time.
 *   echo REQUEST_BYTES REPLY_BYTES       writes its port to standard output */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void echo(int client, unsigned char *bytes, size_t request, size_t reply)
{
    for (size_t got = 0;;) {
        ssize_t n = recv(client, bytes, request - got, 0);
        if (n <= 0)
            return;
        if ((got += n) == request) {
            if (send(client, bytes, reply, 0) < 0)
                return;
            got = 0;
        }
    }
}

int main(int argc, char **argv)
{
    static unsigned char bytes[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 3 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1) < 0)
        return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        echo(client, bytes, atoi(argv[1]), atoi(argv[2]));
        close(client);
    }
}
