// node-opcua's client against our OPC UA server: node node_opcua.cjs ENDPOINT FOLDER USER PASSWORD INPUTS
// FOLDER: own.der, own.pem and the server's certificate server.der. Prints {feature: what came of it} as JSON.
const fs = require("fs");
const os = require("os");
const path = require("path");
console.log = console.warn = console.info = () => {}; // it greets on stdout
const ua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { NumericRange } = require("node-opcua-numeric-range");

const [endpoint, folder, userName, password, inputs] = process.argv.slice(2);
const found = {};
const name = (status) => status.name;

async function feature(key, work) {
  try {
    found[key] = await work();
  } catch (error) {
    found[key] = { error: String(error.message || error).split("\n")[0] };
  }
}

async function client(securityPolicy, securityMode) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "pki-"));
  const clientCertificateManager = new OPCUACertificateManager({ rootFolder: root, automaticallyAcceptUnknownCertificate: true });
  await clientCertificateManager.initialize();
  return ua.OPCUAClient.create({
    applicationName: "peer", applicationUri: "urn:test:client", clientName: "peer", endpointMustExist: false,
    certificateFile: await pem(root), privateKeyFile: path.join(folder, "own.pem"), clientCertificateManager,
    securityPolicy, securityMode, connectionStrategy: { maxRetry: 20, initialDelay: 200, maxDelay: 500 },
  });
}

async function pem(root) {
  const der = fs.readFileSync(path.join(folder, "own.der")).toString("base64").match(/.{1,64}/g).join("\n");
  const file = path.join(root, "own_certificate.pem");
  fs.writeFileSync(file, `-----BEGIN CERTIFICATE-----\n${der}\n-----END CERTIFICATE-----\n`);
  return file;
}

const id = (key) => `ns=2;s=${key}`;
const value = async (session, key) => (await session.read({ nodeId: id(key), attributeId: ua.AttributeIds.Value })).value.value;
const write = (session, key, dataType, given, more = {}) =>
  session.write({ nodeId: id(key), attributeId: ua.AttributeIds.Value, value: { value: { dataType, value: given, ...more } } });

async function features(session) {
  await feature("read Float", () => value(session, "Tags.Speed"));
  await feature("read Int32", () => value(session, "Tags.Count"));
  await feature("read Boolean", () => value(session, "Tags.Enabled"));
  await feature("read String", () => value(session, "Tags.Name"));
  await feature("read array", async () => [...(await value(session, "Tags.Curve"))]);
  await feature("read UInt64", async () => (await value(session, "Tasks.axis.CycleCount")).join());
  await feature("read many", async () => {
    const keys = ["Tags.Word", "Tasks.axis.WakeUp.P50"];
    return (await session.read(keys.map((key) => ({ nodeId: id(key), attributeId: ua.AttributeIds.Value })))).map((one) => one.value.value);
  });
  await feature("read unknown", async () => name((await session.read({ nodeId: id("Tags.None") })).statusCode));
  await feature("source time", async () => (await session.read({ nodeId: id("Tags.Speed"), attributeId: ua.AttributeIds.Value })).sourceTimestamp instanceof Date);
  await feature("data type", async () => (await session.read({ nodeId: id("Tags.Speed"), attributeId: ua.AttributeIds.DataType })).value.value.toString());
  await feature("EngineeringUnits", async () => (await value(session, "Tags.Speed/EngineeringUnits")).displayName.text);
  await feature("EURange", async () => { const range = await value(session, "Tags.Speed/EURange"); return [range.low, range.high]; });
  await feature("enumeration", async () => {
    const type = await session.read({ nodeId: id("Types.TaskState"), attributeId: ua.AttributeIds.DataTypeDefinition });
    return [await value(session, "Tasks.axis.State"), ...type.value.value.fields.map((one) => one.name)];
  });
  await feature("browse", async () => (await session.browse("ObjectsFolder")).references.map((one) => one.browseName.name).filter((one) => ["Tags", "Tasks", "Models", "Machines"].includes(one)));
  await feature("browse, one at a time", async () => {
    session.requestedMaxReferencesPerNode = 1;
    let result = await session.browse({ nodeId: id("Tags"), browseDirection: ua.BrowseDirection.Forward, referenceTypeId: "HasComponent", includeSubtypes: true, resultMask: 63 });
    const names = result.references.map((one) => one.browseName.name);
    while (result.continuationPoint && result.continuationPoint.length) {
      result = await session.browseNext(result.continuationPoint, false);
      names.push(...result.references.map((one) => one.browseName.name));
    }
    session.requestedMaxReferencesPerNode = 0;
    return names;
  });
  await feature("translate path", async () => {
    const result = await session.translateBrowsePath(ua.makeBrowsePath("RootFolder", "/Objects/2:Tasks/2:axis/2:WakeUp/2:P50"));
    return result.targets[0].targetId.toString();
  });
  await feature("write Float", async () => [name(await write(session, "Tags.Speed", ua.DataType.Float, 2.5)), await value(session, "Tags.Speed")]);
  await feature("write String", async () => [name(await write(session, "Tags.Name", ua.DataType.String, "Förderband")), await value(session, "Tags.Name")]);
  await feature("write array", async () => [name(await write(session, "Tags.Curve", ua.DataType.Float, new Float32Array([8, 7, 6, 5, 4, 3, 2, 1]), { arrayType: ua.VariantArrayType.Array })), [...(await value(session, "Tags.Curve"))]]);
  await feature("write a part", async () => {
    const given = { dataType: ua.DataType.Float, arrayType: ua.VariantArrayType.Array, value: new Float32Array([60, 50]) };
    const status = await session.write({ nodeId: id("Tags.Curve"), attributeId: ua.AttributeIds.Value, indexRange: new NumericRange("2:3"), value: { value: given } });
    const part = await session.read({ nodeId: id("Tags.Curve"), attributeId: ua.AttributeIds.Value, indexRange: new NumericRange("1:4") });
    return [name(status), [...part.value.value]];
  });
  await feature("write refused", async () => name(await write(session, "Tags.Word", ua.DataType.UInt16, 1)));
  await feature("write of another type", async () => name(await write(session, "Tags.Count", ua.DataType.Double, 1)));
  await feature("Predict", async () => {
    const given = { dataType: ua.DataType.Float, arrayType: ua.VariantArrayType.Array, value: new Float32Array(JSON.parse(inputs)) };
    const result = await session.call({ objectId: id("Models.policy"), methodId: id("Models.policy.Predict"), inputArguments: [given] });
    return [name(result.statusCode), ...result.outputArguments.map((one) => (one.arrayType === ua.VariantArrayType.Array ? [...one.value] : one.value))];
  });
  await feature("argument definition", async () => {
    const definition = await session.getArgumentDefinition(id("Models.policy.Predict"));
    return [definition.inputArguments.map((one) => one.name), definition.outputArguments.map((one) => one.name)];
  });
  await feature("call Reset", async () => name((await session.call({ objectId: id("Tasks.axis"), methodId: id("Tasks.axis.Reset") })).statusCode));
  await feature("call refused", async () => name((await session.call({ objectId: id("Models.policy"), methodId: id("Models.policy.None") })).statusCode));
  await feature("subscribe", () => subscribed(session));
}

async function subscribed(session) {
  const subscription = await session.createSubscription2({ requestedPublishingInterval: 50, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10, maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 0 });
  const seen = [];
  const item = await subscription.monitor({ nodeId: id("Tags.Speed"), attributeId: ua.AttributeIds.Value }, { samplingInterval: 20, queueSize: 10, discardOldest: true }, ua.TimestampsToReturn.Both);
  const heard = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`nothing came: ${seen}`)), 8000);
    item.on("changed", (one) => { seen.push(one.value.value); if (seen.includes(3.5)) resolve(seen.slice(-1)); });
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  await write(session, "Tags.Speed", ua.DataType.Float, 3.5);
  const last = await heard;
  await subscription.terminate();
  return last;
}

async function policies() {
  for (const policy of ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]) {
    for (const mode of ["Sign", "SignAndEncrypt"]) {
      await feature(`${policy}, ${mode}`, async () => {
        const made = await client(ua.SecurityPolicy[policy], ua.MessageSecurityMode[mode]);
        await made.connect(endpoint);
        const session = await made.createSession({ type: ua.UserTokenType.UserName, userName, password });
        const word = await value(session, "Tags.Word");
        await session.close();
        await made.disconnect();
        return word;
      });
    }
  }
}

async function userCertificate() {
  const made = await client(ua.SecurityPolicy.Basic256Sha256, ua.MessageSecurityMode.SignAndEncrypt);
  await made.connect(endpoint);
  const certificateData = fs.readFileSync(path.join(folder, "user", "own.der"));
  const privateKey = fs.readFileSync(path.join(folder, "user", "own.pem"), "utf8");
  const session = await made.createSession({ type: ua.UserTokenType.Certificate, certificateData, privateKey });
  const written = name(await write(session, "Tags.Count", ua.DataType.Int32, 3));
  await session.close();
  await made.disconnect();
  return written;
}

async function main() {
  const made = await client(ua.SecurityPolicy.Basic256Sha256, ua.MessageSecurityMode.SignAndEncrypt);
  await feature("connect", async () => { await made.connect(endpoint); return true; });
  await feature("wrong password", async () => {
    try { await made.createSession({ type: ua.UserTokenType.UserName, userName, password: "rt_wrong" }); return "came in"; } catch (error) { return /Bad\w+/.exec(error.message)[0]; }
  });
  const session = await made.createSession({ type: ua.UserTokenType.UserName, userName, password });
  await features(session);
  await feature("close", async () => { await session.close(); await made.disconnect(); return true; });
  await feature("user certificate", userCertificate);
  await policies();
  process.stdout.write(JSON.stringify(found) + "\n", () => process.exit(0));
}

main().catch((error) => { process.stderr.write(String(error.stack || error)); process.exit(1); });
