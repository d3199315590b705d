// Every feature of npm's node-ads against a server: node node_ads.cjs HOST PORT NETID AMSPORT LOCALNETID
// Prints {feature: what came of it} as JSON; a feature that failed gives {"error": "..."}.
const ads = require("node-ads");

const [host, port, netId, amsPort, localNetId] = process.argv.slice(2);
const found = {};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
// The library calls back with (error, result).
const call = (start) => new Promise((done, fail) => start((error, result) => (error ? fail(error) : done(result))));

async function feature(name, run) {
  try {
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error("no answer in 8 s")), 8000));
    found[name] = await Promise.race([run(), late]);
  } catch (error) {
    found[name] = { error: String(error.message ?? error) };
  }
}

const read = async (client, symname, bytelength) => (await call((cb) => client.read({ symname, bytelength }, cb))).value;
const write = (client, symname, bytelength, value) => call((cb) => client.write({ symname, bytelength, value }, cb));

async function values(client) {
  await feature("readDeviceInfo", async () => (await call((cb) => client.readDeviceInfo(cb))).deviceName);
  await feature("readState", async () => (await call((cb) => client.readState(cb))).adsState);
  await feature("read REAL", () => read(client, "Tags.SetPoint", ads.REAL));
  await feature("read STRING", () => read(client, "Tags.Name", ads.string(31)));
  await feature("write REAL", async () => {
    await write(client, "Tags.SetPoint", ads.REAL, 4.5);
    return read(client, "Tags.SetPoint", ads.REAL);
  });
  await feature("write STRING", async () => {
    await write(client, "Tags.Name", ads.string(31), "press");
    return read(client, "Tags.Name", ads.string(31));
  });
  await feature("write refused", () =>
    write(client, "Tasks.axis.CycleCount", ads.UDINT, 1).then(() => "written", (error) => String(error.message)));
  await feature("read unknown", () =>
    read(client, "Tags.Nothing", ads.REAL).then(() => "read", (error) => String(error.message)));
  await feature("multiRead", async () => {
    const wanted = [["Tags.SetPoint", ads.REAL], ["Tags.Count", ads.DINT], ["Tags.Nothing", ads.INT]];
    const handles = await call((cb) => client.multiRead(wanted.map(([symname, bytelength]) => ({ symname, bytelength })), cb));
    return handles.map((handle) => (handle.err ? { err: handle.err } : handle.value));
  });
  await feature("multiWrite", async () => {
    await call((cb) => client.multiWrite([{ symname: "Tags.Count", bytelength: ads.DINT, value: -55 }], cb));
    return read(client, "Tags.Count", ads.DINT);
  });
  // node-ads 1.5.1 writes the head of every item over that of the first, so its request contradicts itself.
  await feature("multiWrite of two", async () => {
    const two = [[ads.REAL, 6.5, "Tags.SetPoint"], [ads.DINT, 66, "Tags.Count"]];
    const handles = two.map(([bytelength, value, symname]) => ({ symname, bytelength, value }));
    const refused = await call((cb) => client.multiWrite(handles, cb)).then(() => "written", (error) => error.message);
    return [refused, await read(client, "Tags.SetPoint", ads.REAL), await read(client, "Tags.Count", ads.DINT)];
  });
}

async function tables(client) {
  await feature("getSymbols", async () => (await call((cb) => client.getSymbols(cb, true))).map((s) => s.name).sort());
  await feature("getDatatyps", async () =>
    (await call((cb) => client.getDatatyps(cb))).filter((type) => type.subItems).map((type) => type.name).sort());
  await feature("predict", async () => {
    const inputs = Buffer.alloc(64);
    for (let i = 0; i < 16; i++) inputs.writeFloatLE((i - 8) / 8, 4 * i);
    const request = { indexGroup: 0x52540001, indexOffset: 1, readLength: 24, writeBuffer: inputs, symname: "predict" };
    const reply = await call((cb) => client.writeRead(request, cb));
    const outputs = [];
    for (let at = 8; at < reply.length; at += 4) outputs.push(reply.readFloatLE(at));
    return { status: reply.readUInt32LE(0), version: reply.readUInt32LE(4), outputs };
  });
}

async function notifications(client) {
  const seen = [];
  client.on("notification", (handle) => seen.push(handle.value));
  await feature("notify on change", async () => {
    await call((cb) => client.notify({ symname: "Tags.Count", bytelength: ads.DINT, cycleTime: 10 }, cb));
    for (const value of [201, 202]) {
      await write(client, "Tags.Count", ads.DINT, value);
      for (let i = 0; i < 200 && seen.at(-1) !== value; i++) await sleep(10);
    }
    return seen.slice(-2);
  });
  await feature("end", () => new Promise((done) => client.end(() => done(true))));
}

const client = ads.connect(
  { host, port: Number(port), amsNetIdTarget: netId, amsNetIdSource: localNetId, amsPortTarget: Number(amsPort), timeout: 5000 },
  async () => {
    await values(client);
    await tables(client);
    await notifications(client);
    console.log(JSON.stringify(found));
    process.exit(0);
  });
client.on("error", (error) => {
  console.log(JSON.stringify({ connect: { error: String(error) }, ...found }));
  process.exit(0);
});
