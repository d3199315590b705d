// Sparkplug's own library: a host that decodes an edge node of ours and commands it, and an edge node for us to decode.
// sparkplug.cjs PORT  -> {"births": {...}, "rebirth": ..., "data": ..., "refused": ..., "sequence": ...}
const mqtt = require("mqtt");
const payloads = require("sparkplug-payload").get("spBv1.0");
const sparkplug = require("sparkplug-client");

const port = process.argv[2];
const NODE = "plant/NBIRTH/press";
const found = { births: {}, sequence: [], data: {}, deaths: [] };
const alias = {};
let nodeBirths = 0;

const host = mqtt.connect(`mqtt://127.0.0.1:${port}`, { clientId: "host" });
host.on("connect", () => host.subscribe("spBv1.0/plant/#", { qos: 1 }, () => console.log("ready")));

function plain(metric) {
  const value = metric.value !== null && typeof metric.value === "object" ? metric.value.toString() : metric.value;
  const said = metric.properties ? Object.fromEntries(Object.entries(metric.properties).map(([k, v]) => [k, v.value])) : {};
  return { type: metric.type, value, properties: said };
}

function command(topic, metrics) {
  host.publish(topic, payloads.encodePayload({ timestamp: Date.now(), metrics }), { qos: 0 });
}

host.on("message", (topic, message) => {
  const payload = payloads.decodePayload(message);
  const [, , kind, , device] = topic.split("/");
  if (kind === "NDEATH" || kind === "NCMD" || kind === "DCMD") {
    found.deaths.push(...(kind === "NDEATH" ? [topic] : []));
    return;
  }
  found.sequence.push(Number(payload.seq));
  for (const metric of payload.metrics || []) {
    if (kind.endsWith("BIRTH")) {
      found.births[metric.name] = plain(metric);
      if (metric.alias) alias[metric.alias.toString()] = metric.name;
    } else {
      found.data[alias[metric.alias.toString()]] = plain(metric).value;
    }
  }
  if (kind === "NBIRTH") nodeBirths += 1;
  if (kind === "DBIRTH" && device === "orders" && nodeBirths === 1) {
    command("spBv1.0/plant/DCMD/press/orders", [
      { name: "Tags/setpoint", type: "Float", value: 2.5 },
      { name: "Tags/steps", type: "Int32", value: -7 },
      { name: "Tags/on", type: "Boolean", value: true },
    ]);
    command("spBv1.0/plant/DCMD/press/press", [{ name: "Tags/temperature", type: "Double", value: 1 }]);
    command("spBv1.0/plant/NCMD/press", [{ name: "Node Control/Rebirth", type: "Boolean", value: true }]);
  }
  if (nodeBirths === 2 && found.data["Tags/temperature"] === 99.5) {
    console.log(JSON.stringify({ ...found, rebirths: nodeBirths - 1 }));
    host.end(true, () => process.exit(0));
  }
});

const peer = sparkplug.newClient({
  serverUrl: `mqtt://127.0.0.1:${port}`, username: "", password: "", groupId: "others", edgeNode: "peer", clientId: "peer",
  version: "spBv1.0", publishDeath: true,
});
peer.on("birth", () =>
  peer.publishNodeBirth({
    timestamp: 1700000000000,
    metrics: [
      { name: "small", type: "Int8", value: -5 }, { name: "large", type: "UInt64", value: 5000000000 },
      { name: "half", type: "Double", value: 0.5 }, { name: "text", type: "String", value: "ö" }, { name: "on", type: "Boolean", value: true },
    ],
  }));
