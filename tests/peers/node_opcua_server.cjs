// node-opcua's server as a device of our link: node node_opcua_server.cjs PORT FOLDER [MANY]. Prints "= ..." when it is ready, and for each
// command on its input: set NAME VALUE, status NAME STATUS, get NAME.
const readline = require("node:readline");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { nodesets } = require("node-opcua-nodesets");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");
const { StatusCodes } = require("node-opcua-status-code");

const [port, folder, many] = process.argv.slice(2);

async function main() {
  const certificates = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  const server = new OPCUAServer({
    port: Number(port),
    nodeset_filename: [nodesets.standard],
    serverCertificateManager: certificates,
    userCertificateManager: certificates,
    securityModes: [1, 3], // none, sign and encrypt
    securityPolicies: ["None", "Basic256Sha256", "Aes256_Sha256_RsaPss"].map((name) => `http://opcfoundation.org/UA/SecurityPolicy#${name}`),
    serverInfo: { applicationUri: "urn:node:server" },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const line = own.addObject({ browseName: "Line", nodeId: "s=Line", organizedBy: space.rootFolder.objects });
  const variables = {};
  function add(name, dataType, value, arrayType = VariantArrayType.Scalar) {
    const options = { browseName: name, nodeId: `s=Line.${name}`, componentOf: line, dataType, minimumSamplingInterval: 10 };
    if (arrayType === VariantArrayType.Array) Object.assign(options, { valueRank: 1, arrayDimensions: [value.length] });
    variables[name] = own.addVariable({ ...options, value: new Variant({ dataType, arrayType, value }) });
  }
  add("speed", DataType.Float, 1.5);
  add("count", DataType.Int32, 7);
  add("on", DataType.Boolean, true);
  add("big", DataType.Int64, [1, 5]);
  add("temps", DataType.Double, new Float64Array([1, 2, 3, 4]), VariantArrayType.Array);
  add("set", DataType.Float, 0);
  add("sets", DataType.Double, new Float64Array([10, 20, 30]), VariantArrayType.Array);
  for (let number = 0; number < Number(many ?? 0); number++) add(`n${number}`, DataType.Float, number);
  await server.start();
  console.log(`= ${own.namespaceUri}`);
  for await (const command of readline.createInterface({ input: process.stdin })) {
    const [verb, name, text] = command.split(" ");
    const variable = variables[name];
    const { dataType } = variable.readValue().value;
    if (verb === "set") variable.setValueFromSource({ dataType, value: Number(text) });
    if (verb === "status") variable.setValueFromSource({ dataType, value: 0 }, StatusCodes[text]);
    const { value } = variable.readValue().value;
    console.log(`= ${JSON.stringify(value?.length === undefined ? value : Array.from(value))}`);
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
