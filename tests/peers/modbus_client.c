/* Every function of libmodbus' client:
 *   modbus_client HOST PORT COIL WORD FLOAT REFUSED INPUTS OUTPUTS      (addresses)
 *   modbus_client rtu DEVICE COIL ...
 * Prints one line for each feature: its name, a tab, what came of it. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static modbus_t *ctx;

static void failed(const char *name) { printf("%s\terror: %s\n", name, modbus_strerror(errno)); }

/* The high word first. libmodbus 3.1.6 has functions of its own for that, which swap the bytes too. */
static void set_float(float value, uint16_t *words)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    words[0] = bits >> 16;
    words[1] = bits;
}

static float get_float(const uint16_t *words)
{
    uint32_t bits = (uint32_t)words[0] << 16 | words[1];
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void number(const char *name, int done, long value)
{
    if (done < 0)
        failed(name);
    else
        printf("%s\t%ld\n", name, value);
}

static void refusal(const char *name, int done)
{
    printf("%s\t%d\n", name, done < 0 ? errno - MODBUS_ENOBASE : 0);
}

static void predict(int inputs, int outputs)
{
    uint16_t in[32], out[12];
    for (int i = 0; i < 16; i++)
        set_float((i - 8) / 8.0f, in + 2 * i);
    if (modbus_write_and_read_registers(ctx, inputs, 32, in, outputs, 12, out) < 0) {
        failed("FC 23 predict");
        return;
    }
    printf("FC 23 predict\t%u %u", MODBUS_GET_INT32_FROM_INT16(out, 0), MODBUS_GET_INT32_FROM_INT16(out, 2));
    for (int i = 0; i < 4; i++)
        printf(" %.9g", get_float(out + 4 + 2 * i));
    puts("");
}

static void identity(void)
{
    uint8_t request[] = {1, 43, 14, 1, 0}, reply[MODBUS_TCP_MAX_ADU_LENGTH];
    int length = modbus_send_raw_request(ctx, request, sizeof request);
    if (length >= 0)
        length = modbus_receive_confirmation(ctx, reply);
    number("FC 43", length, length > 0);
}

int main(int argc, char **argv)
{
    if (argc != 9)
        return 2;
    int rtu = strcmp(argv[1], "rtu") == 0;
    int coil = atoi(argv[3]), word = atoi(argv[4]), real = atoi(argv[5]), refused = atoi(argv[6]), done;
    uint8_t bit = 0;
    uint16_t value[2] = {0};
    ctx = rtu ? modbus_new_rtu(argv[2], 19200, 'N', 8, 1) : modbus_new_tcp(argv[1], atoi(argv[2]));
    modbus_set_slave(ctx, 1);
    modbus_set_response_timeout(ctx, 30, 0);
    modbus_set_byte_timeout(ctx, 0, 0); /* the same between bytes */
    if (modbus_connect(ctx) < 0)
        return 1;
    number("FC 5", modbus_write_bit(ctx, coil, 1), 1);
    done = modbus_read_bits(ctx, coil, 1, &bit);
    number("FC 1", done, bit);
    done = modbus_read_input_bits(ctx, coil, 1, &bit);
    number("FC 2", done, bit);
    bit = 0;
    number("FC 15", modbus_write_bits(ctx, coil, 1, &bit), 0);
    number("FC 6", modbus_write_register(ctx, word, 777), 777);
    done = modbus_read_registers(ctx, word, 1, value);
    number("FC 3", done, value[0]);
    done = modbus_read_input_registers(ctx, word, 1, value);
    number("FC 4", done, value[0]);
    number("FC 22", modbus_mask_write_register(ctx, word, 0x00f0, 0x000f), 0);
    set_float(1.75f, value);
    number("FC 16", modbus_write_registers(ctx, real, 2, value), 2);
    modbus_read_registers(ctx, real, 2, value);
    printf("float\t%g\n", get_float(value));
    refusal("FC 6 refused", modbus_write_register(ctx, refused, 1));
    refusal("FC 3 beyond the end", modbus_read_registers(ctx, 65500, 2, value));
    predict(atoi(argv[7]), atoi(argv[8]));
    if (!rtu)
        identity(); /* last: libmodbus does not know how long this answer is, and leaves a part of it in the socket */
    modbus_close(ctx);
    modbus_free(ctx);
    return 0;
}
