// A peer of a Sealpost network made of other people's parts: js-libp2p with its gossipsub. It knows nothing of
// the ledger's formats; what it publishes is given to it, and what it hears it passes on as bytes.
//
// One argument, JSON: { address, protocol, topics }. Commands come as lines on standard input, events go as
// lines to standard output, both JSON:
//
//   {"do":"dial"}                               {"event":"dialled","ok":true} once a ping came back
//   {"do":"publish","topic":…,"data":hex}       {"event":"published","ok":…,"recipients":n}
//                                               {"event":"ready","peer":id}
//                                               {"event":"subscribed","topic":…} the node to a topic of ours
//                                               {"event":"message","topic":…,"data":hex}
//                                               {"event":"disconnected"}
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { gossipsub } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

// js-libp2p calls this; Node.js has it from version 22 on.
Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { address, protocol, topics } = JSON.parse(process.argv[2]);
const say = (event, facts = {}) => process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);

// Messages have no author and no number: what they are is their topic and their bytes.
const idOf = ({ topic, data }) => createHash("sha256").update(topic).update(data).digest();

const peer = await createLibp2p({
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    gossip: gossipsub({ globalSignaturePolicy: "StrictNoSign", msgIdFn: idOf, allowPublishToZeroTopicPeers: true }),
  },
});
// What tells networks apart. The library has no setting for it that does not also rename identify itself.
peer.services.identify.host.protocolVersion = protocol;

const node = multiaddr(address);
const { gossip } = peer.services;
gossip.addEventListener("subscription-change", ({ detail }) => {
  for (const { topic, subscribe } of detail.subscriptions) {
    if (subscribe && topics.includes(topic)) say("subscribed", { topic });
  }
});
gossip.addEventListener("message", ({ detail }) => {
  say("message", { topic: detail.topic, data: Buffer.from(detail.data).toString("hex") });
});
peer.addEventListener("peer:disconnect", () => say("disconnected"));
topics.forEach((topic) => gossip.subscribe(topic));

const commands = {
  // A node that has banned this peer takes the connection and closes it at once: only an answer counts.
  async dial() {
    await peer.dial(node, { signal: AbortSignal.timeout(5000) });
    await peer.services.ping.ping(node, { signal: AbortSignal.timeout(5000) });
    return {};
  },
  async publish({ topic, data }) {
    const { recipients } = await gossip.publish(topic, Buffer.from(data, "hex"));
    return { recipients: recipients.length };
  },
};
const done = { dial: "dialled", publish: "published" };

say("ready", { peer: peer.peerId.toString() });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    say(done[command.do], { ok: true, ...(await commands[command.do](command)) });
  } catch (error) {
    say(done[command.do], { ok: false, reason: String(error.message ?? error) });
  }
}
await peer.stop();
