// Every function code of npm's modbus-serial: node modbus_serial.cjs HOST PORT PLACES
// PLACES is JSON: addresses of coil, word, float, refused (read-only), inputs and outputs of predict.
// Prints {feature: what came of it} as JSON; a feature that failed gives {"error": "..."}.
const ModbusRTU = require("modbus-serial");

const [host, port, text] = process.argv.slice(2);
const places = JSON.parse(text);
const found = {};

async function feature(name, run) {
  try {
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error("no answer in 8 s")), 8000));
    found[name] = await Promise.race([run(), late]);
  } catch (error) {
    found[name] = { error: `${error.message}`, code: error.modbusCode };
  }
}

function floatWords(values) {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeFloatBE(value, 4 * i));
  return Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16BE(2 * i));
}

(async () => {
  const client = new ModbusRTU();
  await client.connectTCP(host, { port: Number(port) });
  client.setID(1);
  client.setTimeout(3000);
  await feature("FC 5", async () => (await client.writeCoil(places.coil, true)).state);
  await feature("FC 1", async () => (await client.readCoils(places.coil, 1)).data[0]);
  await feature("FC 2", async () => (await client.readDiscreteInputs(places.coil, 1)).data[0]);
  await feature("FC 15", async () => {
    await client.writeCoils(places.coil, [false]);
    return (await client.readCoils(places.coil, 1)).data[0];
  });
  await feature("FC 6", async () => (await client.writeRegister(places.word, 4711)).value);
  await feature("FC 3", async () => (await client.readHoldingRegisters(places.word, 1)).data);
  await feature("FC 4", async () => (await client.readInputRegisters(places.word, 1)).data);
  await feature("FC 22", async () => {
    await client.maskWriteRegister(places.word, 0x00f0, 0x000f);
    return (await client.readHoldingRegisters(places.word, 1)).data[0];
  });
  await feature("FC 16", async () => {
    await client.writeRegisters(places.float, floatWords([6.25]));
    return (await client.readHoldingRegisters(places.float, 2)).buffer.readFloatBE(0);
  });
  await feature("FC 43", async () => Object.values((await client.readDeviceIdentification(1, 0)).data).length);
  await feature("FC 6 refused", async () => client.writeRegister(places.refused, 1).then(() => "written", (e) => e.modbusCode));
  await feature("FC 3 beyond the end", async () =>
    client.readHoldingRegisters(65500, 2).then(() => "read", (e) => e.modbusCode));
  await feature("FC 23 predict", async () => {
    const inputs = floatWords(Array.from({ length: 16 }, (_, i) => (i - 8) / 8));
    const reply = await client.readWriteRegisters(places.outputs, 12, places.inputs, 32, inputs);
    const bytes = Buffer.alloc(24);
    reply.data.forEach((word, i) => bytes.writeUInt16BE(word, 2 * i));
    return {
      status: bytes.readUInt32BE(0), version: bytes.readUInt32BE(4),
      outputs: [8, 12, 16, 20].map((at) => bytes.readFloatBE(at)),
    };
  });
  console.log(JSON.stringify(found));
  process.exit(0);
})();
