/** Arbitrary payloads, headers and messages, as well-formed as the types allow. */
import fc from 'fast-check';
import { addressText } from '../../../src/control/wire/address.ts';
import type { Header } from '../../../src/control/wire/header.ts';
import type { Payload } from '../../../src/control/wire/payloads/index.ts';
import type { Proposal, Transform } from '../../../src/control/wire/payloads/sa.ts';
import type { Selector } from '../../../src/control/wire/payloads/ts.ts';

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Uint8Array.from(array));

export const header: fc.Arbitrary<Header> = fc.record({
  spiI: u64.filter((spi) => spi !== 0n),
  spiR: u64,
  exchange: u8,
  fromInitiator: fc.boolean(),
  response: fc.boolean(),
  messageId: u32,
});

const transform: fc.Arbitrary<Transform> = fc.oneof(
  fc.record({ type: u8, id: u16 }),
  fc.record({ type: u8, id: u16, keyBits: u16 }),
);

const proposal: fc.Arbitrary<Proposal> = fc.record({
  number: u8,
  protocol: u8,
  spi: fc.oneof(bytes(0, 0), bytes(4, 4), bytes(8, 8)),
  transforms: fc.array(transform, { maxLength: 12 }),
});

const ports = fc
  .tuple(u16, u16)
  .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }))
  .chain((range) => fc.constantFrom(range, { from: 65535, to: 0 }, { from: 0, to: 65535 }));

const addresses = fc.constantFrom(4, 16).chain((length) =>
  fc.tuple(bytes(length, length), bytes(length, length)).map((pair) => {
    const [from, to] = pair.sort(Buffer.compare);
    return { from: addressText(from!), to: addressText(to!) };
  }),
);

const selector: fc.Arbitrary<Selector> = fc.record({ protocol: u8, addresses, ports });
const selectors = fc.array(selector, { minLength: 1, maxLength: 8 });

const payloads: { readonly [K in Payload['kind']]: fc.Arbitrary<Extract<Payload, { kind: K }>> } = {
  SA: fc.record({ kind: fc.constant('SA'), proposals: fc.array(proposal, { minLength: 1, maxLength: 5 }) }),
  KE: fc.record({ kind: fc.constant('KE'), method: u16, data: bytes(1, 100) }),
  IDi: fc.record({ kind: fc.constant('IDi'), idType: u8, data: bytes(0, 64) }),
  IDr: fc.record({ kind: fc.constant('IDr'), idType: u8, data: bytes(0, 64) }),
  CERT: fc.record({ kind: fc.constant('CERT'), encoding: u8, data: bytes(0, 200) }),
  CERTREQ: fc.record({ kind: fc.constant('CERTREQ'), encoding: u8, authority: bytes(0, 60) }),
  AUTH: fc.record({ kind: fc.constant('AUTH'), method: u8, data: bytes(0, 128) }),
  NONCE: fc.record({ kind: fc.constant('NONCE'), data: bytes(16, 256) }),
  N: fc.record({ kind: fc.constant('N'), protocol: u8, spi: bytes(0, 16), notify: u16, data: bytes(0, 40) }),
  D: fc.oneof(
    fc.record({ kind: fc.constant('D' as const), protocol: fc.constant(1), spis: fc.constant([]) }),
    fc.record({
      kind: fc.constant('D' as const),
      protocol: fc.constantFrom(2, 3),
      spis: fc.array(u32, { maxLength: 8 }),
    }),
  ),
  V: fc.record({ kind: fc.constant('V'), data: bytes(0, 40) }),
  TSi: fc.record({ kind: fc.constant('TSi'), selectors, unknownTypes: fc.constant([]) }),
  TSr: fc.record({ kind: fc.constant('TSr'), selectors, unknownTypes: fc.constant([]) }),
  CP: fc.record({
    kind: fc.constant('CP'),
    cfgType: u8,
    attributes: fc.array(fc.record({ type: fc.integer({ min: 0, max: 0x7fff }), value: bytes(0, 20) }), {
      maxLength: 6,
    }),
  }),
  EAP: fc.record({ kind: fc.constant('EAP'), message: bytes(0, 40) }),
  unknown: fc.record({
    kind: fc.constant('unknown'),
    type: fc.integer({ min: 60, max: 255 }),
    critical: fc.constant(false),
    body: bytes(0, 40),
  }),
};

export const payload: fc.Arbitrary<Payload> = fc.oneof(...Object.values(payloads));
export const payloadsOf = fc.array(payload, { maxLength: 10 });
