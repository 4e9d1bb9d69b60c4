/** Payloads of requests, right as they are unless a test wants them wrong, and what a gateway keeps of them. */
import { KEY_EXCHANGES } from '../../src/control/crypto/registry.ts';
import { EXCHANGE, PROTOCOL, TRANSFORM } from '../../src/control/wire/iana.ts';
import { buildMessage, parseMessage } from '../../src/control/wire/message.ts';
import type { Payload } from '../../src/control/wire/payloads/index.ts';
import type { Transform } from '../../src/control/wire/payloads/sa.ts';
import { type Network, type Node, RIGHT } from './network.ts';

const NONE = new Uint8Array();
export const SPI = Uint8Array.of(0xc0, 0, 0, 1);
/** Of the left gateway, which initiates. */
export const idI: Payload = { kind: 'IDi', idType: 2, data: Buffer.from('left.example.org') };
export const nonce = (length = 32): Payload => ({ kind: 'NONCE', data: new Uint8Array(length).fill(7) });
export const sa = (protocol: number, spi: Uint8Array, transforms: readonly Transform[]): Payload => ({
  kind: 'SA',
  proposals: [{ number: 1, protocol, spi, transforms }],
});
const ts = (['TSi', 'TSr'] as const).map((kind, index): Payload => {
  const addresses = { from: `10.${index + 1}.0.0`, to: `10.${index + 1}.255.255` };
  return { kind, unknownTypes: [], selectors: [{ protocol: 0, ports: { from: 0, to: 65_535 }, addresses }] };
});
export const GCM: readonly Transform[] = [
  { type: TRANSFORM.ENCR, id: 20, keyBits: 128 },
  { type: TRANSFORM.ESN, id: 0 },
];
/** For another child SA. */
export const child = (transforms = GCM): Payload[] => [sa(PROTOCOL.ESP, SPI, transforms), nonce(), ...ts];
/** For the rekeying of the IKE SA. */
export const ikeRekey: Payload[] = [
  sa(PROTOCOL.IKE, new Uint8Array(8).fill(1), [
    { type: TRANSFORM.ENCR, id: 20, keyBits: 128 },
    { type: TRANSFORM.PRF, id: 5 },
    { type: TRANSFORM.KE, id: 31 },
  ]),
  nonce(),
  { kind: 'KE', method: 31, data: new Uint8Array(32).fill(9) },
];

/** Every proposal that the responder could choose from. */
export const EVERYTHING = KEY_EXCHANGES.filter(({ family }) => family !== 'kem').flatMap(({ keyword }) =>
  ['aes128gcm16', 'aes128-sha256'].map((cipher) => `${cipher}-prfsha256-${keyword}`),
);

let strangers = 0;

/** An IKE_SA_INIT from a stranger at an address of its own. @returns the answer's payloads */
export function stranger(
  network: Network,
  transforms: readonly Transform[],
  method: number,
  data: Uint8Array,
  nonceLength = 32,
  extra: readonly Payload[] = [],
) {
  const address = `203.0.${(++strangers >> 8) & 0xff}.${strangers & 0xff}`;
  const header = {
    spiI: BigInt(strangers),
    spiR: 0n,
    exchange: EXCHANGE.IKE_SA_INIT,
    fromInitiator: true,
    response: false,
    messageId: 0,
  };
  const ike = sa(PROTOCOL.IKE, NONE, transforms);
  const before = network.sent.length;
  network.deliver({
    local: { address, port: 500 },
    remote: { address: RIGHT, port: 500 },
    data: buildMessage(header, [ike, { kind: 'KE', method, data }, nonce(nonceLength), ...extra]),
  });
  const reply = network.sent[before];
  network.wire.length = 0;
  return reply && parseMessage(reply.data).payloads;
}

/** Whatever a gateway holds in memory for its peers. */
export function held(node: Node): object {
  const { table, children, timers } = node.core['cx'];
  const alive = timers['heap'].length;
  const ofSas = table
    .all()
    .map((each) =>
      [each.followups, each.reassemblies, each.children, each.deletedEarly, each.queue, each.peerAddresses].map(
        (part) => ('size' in part ? part.size : part.length),
      ),
    );
  return {
    sas: table.size,
    halfOpen: table.halfOpen,
    children: children.size,
    alive,
    ofSas,
    reserved: node.reserved.size,
    installed: node.sas.size,
    policies: node.policies.size,
  };
}
