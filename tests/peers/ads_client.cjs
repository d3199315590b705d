// Every feature of npm's ads-client against a server: node ads_client.cjs HOST PORT NETID AMSPORT [LOCALNETID]
// Prints {feature: what came of it} as JSON; a feature that failed gives {"error": "..."}.
const { Client } = require("ads-client");

const [host, port, netId, amsPort, localNetId] = process.argv.slice(2);
const found = {};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function feature(name, run) {
  try {
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error("no answer in 8 s")), 8000));
    found[name] = await Promise.race([run(), late]);
  } catch (error) {
    found[name] = { error: `${error.message} ${JSON.stringify(error.adsError ?? {})}` };
  }
}

function predictRequest() {
  const bytes = Buffer.alloc(16 * 4);
  for (let i = 0; i < 16; i++) bytes.writeFloatLE((i - 8) / 8, 4 * i);
  return bytes;
}

function predictReply(bytes) {
  const outputs = [];
  for (let at = 8; at < bytes.length; at += 4) outputs.push(bytes.readFloatLE(at));
  return { status: bytes.readUInt32LE(0), version: bytes.readUInt32LE(4), outputs };
}

async function values(client) {
  await feature("readValue REAL", async () => (await client.readValue("Tags.SetPoint")).value);
  await feature("readValue STRING", async () => (await client.readValue("Tags.Name")).value);
  await feature("readValue ARRAY", async () => (await client.readValue("Tags.Curve")).value);
  await feature("readValue element", async () => (await client.readValue("Tags.Curve[2]")).value);
  await feature("readValue STRUCT", async () => (await client.readValue("Tasks.axis")).value);
  await feature("readValue nested", async () => (await client.readValue("Tasks.axis.WakeUp.P99")).value);
  await feature("writeValue REAL", async () => {
    await client.writeValue("Tags.SetPoint", 2.5);
    return (await client.readValue("Tags.SetPoint")).value;
  });
  await feature("writeValue BOOL", async () => {
    await client.writeValue("Tags.Enabled", true);
    return (await client.readValue("Tags.Enabled")).value;
  });
  await feature("writeValue STRING", async () => {
    await client.writeValue("Tags.Name", "feeder");
    return (await client.readValue("Tags.Name")).value;
  });
  await feature("writeValue ARRAY", async () => {
    await client.writeValue("Tags.Curve", [8, 7, 6, 5, 4, 3, 2, 1]);
    return (await client.readValue("Tags.Curve")).value;
  });
  await feature("writeValue refused", async () => {
    try {
      await client.writeValue("Tasks.axis.CycleCount", 7);
      return "written";
    } catch (error) {
      return error.adsError.errorCode ?? error.adsError;
    }
  });
  await feature("readValue unknown", async () => {
    try {
      return (await client.readValue("Tags.Nothing")).value;
    } catch (error) {
      return error.adsError.errorCode ?? error.adsError;
    }
  });
}

async function raw(client) {
  const symbol = await client.getSymbol("Tags.SetPoint");
  await feature("getSymbol", async () => [symbol.name, symbol.type, symbol.size]);
  await feature("readRaw", async () => (await client.readRaw(symbol.indexGroup, symbol.indexOffset, 4)).readFloatLE(0));
  await feature("writeRaw", async () => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(3.25);
    await client.writeRaw(symbol.indexGroup, symbol.indexOffset, bytes);
    return (await client.readRawByPath("Tags.SetPoint")).readFloatLE(0);
  });
  await feature("readRawMulti", async () => {
    const count = await client.getSymbol("Tags.Count");
    const results = await client.readRawMulti([
      { indexGroup: symbol.indexGroup, indexOffset: symbol.indexOffset, size: 4 },
      { indexGroup: count.indexGroup, indexOffset: count.indexOffset, size: 4 },
    ]);
    return [results[0].value.readFloatLE(0), results[1].value.readInt32LE(0)];
  });
  await feature("writeRawMulti", async () => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(-12);
    const count = await client.getSymbol("Tags.Count");
    const command = { indexGroup: count.indexGroup, indexOffset: count.indexOffset, value: bytes };
    const results = await client.writeRawMulti([command, command]);
    return [results.map((result) => result.success), (await client.readValue("Tags.Count")).value];
  });
  await feature("createVariableHandle", async () => {
    const handle = await client.createVariableHandle("Tags.SetPoint");
    const value = (await client.readRawByHandle(handle)).readFloatLE(0);
    await client.deleteVariableHandle(handle);
    return [handle.size, handle.dataType, value];
  });
  await feature("createVariableHandleMulti", async () => {
    const handles = await client.createVariableHandleMulti(["Tags.SetPoint", "Tags.Count"]);
    const released = await client.deleteVariableHandleMulti(handles.map((handle) => handle.handle));
    return [handles.map((handle) => handle.success), released.map((result) => result.success)];
  });
  await feature("predict", async () =>
    predictReply(await client.readWriteRaw(0x52540001, 1, 24, predictRequest())));
  await feature("predict by name", async () => {
    const name = Buffer.alloc(64);
    name.write("policy");
    return predictReply(await client.readWriteRaw(0x52540002, 0, 24, Buffer.concat([name, predictRequest()])));
  });
}

async function tables(client) {
  await feature("getSymbols", async () =>
    Object.values(await client.getSymbols()).map((symbol) => symbol.name).sort());
  await feature("getDataTypes", async () => Object.values(await client.getDataTypes()).map((type) => type.name).sort());
  await feature("getDataType", async () => {
    const type = await client.getDataType("ST_RtTask");
    return type.subItems.map((item) => [item.name, item.offset, item.size]);
  });
  await feature("readPlcUploadInfo", async () => (await client.readPlcUploadInfo()).symbolCount > 0);
  await feature("readPlcSymbolVersion", async () => client.readPlcSymbolVersion());
  await feature("cacheSymbols", async () => {
    await client.cacheSymbols();
    await client.cacheDataTypes();
    return (await client.readValue("Tasks.axis.WakeUp")).value;
  });
  await feature("readDeviceInfo", async () => (await client.readDeviceInfo()).deviceName);
  await feature("readPlcRuntimeState", async () => (await client.readPlcRuntimeState()).adsStateStr);
  await feature("readTcSystemState", async () => (await client.readTcSystemState()).adsStateStr);
}

async function subscriptions(client) {
  await feature("subscribe on change", async () => {
    const seen = [];
    const subscription = await client.subscribe({
      target: "Tags.Count",
      callback: (data) => seen.push(data.value),
      cycleTime: 10,
      sendOnChange: true,
    });
    for (const value of [101, 102]) {
      await client.writeValue("Tags.Count", value);
      for (let i = 0; i < 200 && seen.at(-1) !== value; i++) await sleep(10);
    }
    await subscription.unsubscribe();
    await client.writeValue("Tags.Count", 103);
    await sleep(100);
    return seen.slice(-2);
  });
  await feature("subscribe cyclic", async () => {
    const seen = [];
    const subscription = await client.subscribe({
      target: "Tags.SetPoint",
      callback: (data) => seen.push(data.value),
      cycleTime: 20,
      sendOnChange: false,
    });
    for (let i = 0; i < 300 && seen.length < 5; i++) await sleep(10);
    await client.unsubscribe(subscription);
    return seen.length >= 5;
  });
}

(async () => {
  const local = localNetId ? { localAmsNetId: localNetId, localAdsPort: 32750 } : {};
  const client = new Client({
    targetAmsNetId: netId,
    targetAdsPort: Number(amsPort),
    routerAddress: host,
    routerTcpPort: Number(port),
    autoReconnect: false,
    timeoutDelay: 5000,
    ...local,
  });
  client.on("client-error", () => {});
  await feature("connect", async () => (await client.connect()).connected);
  if (client.connection.connected) {
    await values(client);
    await raw(client);
    await tables(client);
    await subscriptions(client);
    await feature("disconnect", async () => {
      await client.disconnect();
      return !client.connection.connected;
    });
  }
  console.log(JSON.stringify(found, (key, value) => (typeof value === "bigint" ? Number(value) : value)));
  process.exit(0);
})();
