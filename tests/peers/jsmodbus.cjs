// npm's jsmodbus, which sends the next request before the last is answered: node jsmodbus.cjs HOST PORT PLACES
// PLACES as for modbus_serial.cjs. Prints {feature: what came of it} as JSON.
const net = require("net");
const { ModbusTCPClient } = require("jsmodbus");

const [host, port, text] = process.argv.slice(2);
const places = JSON.parse(text);
const found = {};
const socket = new net.Socket();
const client = new ModbusTCPClient(socket, 1, 3000);

async function feature(name, run) {
  try {
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error("no answer in 8 s")), 8000));
    found[name] = await Promise.race([run(), late]);
  } catch (error) {
    found[name] = { error: `${error.message}`, code: error.response?.body?.code };
  }
}

const value = async (request) => (await request).response.body.valuesAsArray[0];

socket.on("connect", async () => {
  await feature("FC 5", async () => (await client.writeSingleCoil(places.coil, true)).response.body.value);
  await feature("FC 1", () => value(client.readCoils(places.coil, 1)));
  await feature("FC 2", () => value(client.readDiscreteInputs(places.coil, 1)));
  await feature("FC 15", async () => {
    await client.writeMultipleCoils(places.coil, [false]);
    return value(client.readCoils(places.coil, 1));
  });
  await feature("FC 6", async () => (await client.writeSingleRegister(places.word, 1234)).response.body.value);
  await feature("FC 3", () => value(client.readHoldingRegisters(places.word, 1)));
  await feature("FC 4", () => value(client.readInputRegisters(places.word, 1)));
  await feature("FC 16", async () => {
    await client.writeMultipleRegisters(places.float, [0x40c8, 0x0000]);
    return (await client.readHoldingRegisters(places.float, 2)).response.body.valuesAsBuffer.readFloatBE(0);
  });
  await feature("FC 43", async () => (await client.readDeviceIdentification(1, 0)).response.body.objects.length);
  await feature("FC 6 refused", () =>
    client.writeSingleRegister(places.refused, 1).then(() => "written", (error) => error.response.body.code));
  await feature("8 in flight", async () => {
    let right = 0;
    for (let round = 0; round < 50; round++) {
      const eight = Array.from({ length: 8 }, (_, i) => 100 * round + i);
      const requests = eight.flatMap((n) => [
        client.writeSingleRegister(places.word, n),
        client.readHoldingRegisters(places.word, 1),
      ]).slice(0, 16);
      const answers = await Promise.all(requests);
      right += eight.filter((n, i) => answers[2 * i + 1].response.body.values[0] === n).length;
    }
    return right;
  });
  console.log(JSON.stringify(found));
  process.exit(0);
});
socket.connect({ host, port: Number(port) });
