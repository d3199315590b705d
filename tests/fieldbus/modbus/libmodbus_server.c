/* A Modbus server on Debian's libmodbus: 2000 addresses in each table, unit 1.
 *   libmodbus_server tcp PORT        several clients at once
 *   libmodbus_server rtu DEVICE      19200 baud, no parity: a pseudo-terminal has none
 * Writes "ready" to standard output when it listens. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static int answer(modbus_t *ctx, modbus_mapping_t *map)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int length = modbus_receive(ctx, query);
    if (length > 0)
        modbus_reply(ctx, query, length, map);
    return length;
}

static int serve_tcp(const char *port, modbus_mapping_t *map)
{
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", atoi(port));
    int listener = modbus_tcp_listen(ctx, 8);
    fd_set open_set;
    int top = listener;
    if (listener < 0)
        return 1;
    FD_ZERO(&open_set);
    FD_SET(listener, &open_set);
    puts("ready");
    fflush(stdout);
    for (;;) {
        fd_set ready = open_set;
        if (select(top + 1, &ready, NULL, NULL, NULL) < 0)
            return 1;
        for (int fd = 0; fd <= top; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == listener) {
                int client = modbus_tcp_accept(ctx, &listener);
                FD_SET(client, &open_set);
                top = client > top ? client : top;
                continue;
            }
            modbus_set_socket(ctx, fd);
            if (answer(ctx, map) < 0) {
                close(fd);
                FD_CLR(fd, &open_set);
            }
        }
    }
}

static int serve_rtu(const char *device, modbus_mapping_t *map)
{
    modbus_t *ctx = modbus_new_rtu(device, 19200, 'N', 8, 1);
    modbus_set_slave(ctx, 1);
    if (modbus_connect(ctx) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;)
        if (answer(ctx, map) < 0 && errno != ETIMEDOUT && errno != EMBBADCRC)
            modbus_flush(ctx);
}

int main(int argc, char **argv)
{
    modbus_mapping_t *map = modbus_mapping_new(2000, 2000, 2000, 2000);
    if (argc != 3 || map == NULL)
        return 2;
    for (int i = 0; i < 2000; i++) {
        map->tab_input_registers[i] = i;
        map->tab_input_bits[i] = i % 3 == 0;
    }
    return strcmp(argv[1], "tcp") == 0 ? serve_tcp(argv[2], map) : serve_rtu(argv[2], map);
}
