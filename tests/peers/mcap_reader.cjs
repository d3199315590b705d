// A recording with Foxglove's own readers: indexed as its player reads files, and as a stream for files without a summary.
const fs = require("fs");
const { McapIndexedReader, McapStreamReader } = require("@mcap/core");
const { parse } = require("@foxglove/rosmsg");
const { MessageReader } = require("@foxglove/rosmsg2-serialization");
const fzstd = require("fzstd");

const decompressHandlers = { zstd: (data) => fzstd.decompress(data) };

function readable(path) {
  const handle = fs.openSync(path, "r");
  return {
    size: async () => BigInt(fs.fstatSync(handle).size),
    read: async (offset, size) => {
      const buffer = new Uint8Array(Number(size));
      fs.readSync(handle, buffer, 0, Number(size), Number(offset));
      return buffer;
    },
  };
}

function decoder(schema, channel) {
  const text = new TextDecoder().decode(schema.data);
  if (channel.messageEncoding === "json") return (data) => JSON.parse(new TextDecoder().decode(data));
  const reader = new MessageReader(parse(text, { ros2: true }));
  return (data) => reader.readMessage(data);
}

const plain = (value) =>
  JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? v.toString() : ArrayBuffer.isView(v) ? Array.from(v, String) : v)));

async function indexed(path) {
  const reader = await McapIndexedReader.Initialize({ readable: readable(path), decompressHandlers });
  const found = { topics: {}, metadata: {}, attachments: {} };
  const decoders = new Map();
  for await (const message of reader.readMessages({ validateCrcs: true })) {
    const channel = reader.channelsById.get(message.channelId);
    if (!decoders.has(channel.id)) decoders.set(channel.id, decoder(reader.schemasById.get(channel.schemaId), channel));
    const topic = (found.topics[channel.topic] ??= { count: 0 });
    const decoded = decoders.get(channel.id)(message.data);
    if (topic.count === 0) topic.first = plain(decoded);
    topic.count += 1;
    topic.last = plain(decoded);
    topic.times = [message.logTime.toString(), message.publishTime.toString(), message.sequence];
  }
  for await (const metadata of reader.readMetadata()) found.metadata[metadata.name] = Object.fromEntries(metadata.metadata);
  for await (const attachment of reader.readAttachments({ validateCrcs: true }))
    found.attachments[attachment.name] = Buffer.from(attachment.data).toString();
  found.statistics = plain({ ...reader.statistics, channelMessageCounts: Object.fromEntries(reader.statistics.channelMessageCounts) });
  return found;
}

function streamed(path) {
  const reader = new McapStreamReader({ decompressHandlers, validateCrcs: true });
  reader.append(fs.readFileSync(path));
  const counts = {}, topics = new Map();
  for (let record; (record = reader.nextRecord()); ) {
    if (record.type === "Channel") topics.set(record.id, record.topic);
    if (record.type === "Message") counts[topics.get(record.channelId)] = (counts[topics.get(record.channelId)] ?? 0) + 1;
  }
  return { counts, done: reader.done() };
}

(async () => {
  const [, , how, path] = process.argv;
  console.log(JSON.stringify(how === "indexed" ? await indexed(path) : streamed(path)));
})();
