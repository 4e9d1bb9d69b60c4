import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import { SA_IN } from './bed.ts';
import { espPacket, sealEsp } from './esp.ts';
import { ipPacket, tcpPacket, udpPacket } from './ip.ts';
import { Receiver } from './receiver.ts';

const SA: SaParameters = {
  ...SA_IN,
  spi: 0x6666,
  suite: { encr: ENCR.AES_GCM_16, keyBits: 256, integ: INTEG.NONE },
  keys: { encryption: new Uint8Array(36).fill(3), integrity: new Uint8Array() },
  esn: false,
  replayWindow: 0,
};
const TRANSPORT = { ...SA, spi: 0x6667, mode: 'transport' } as const;
const AH: SaParameters = {
  ...TRANSPORT,
  spi: 0x6668,
  protocol: 'ah',
  udpEncapsulation: false,
  suite: { keyBits: 0, integ: INTEG.HMAC_SHA2_256_128 },
  keys: { encryption: new Uint8Array(), integrity: new Uint8Array(32) },
};

const V4 = { source: '10.2.0.1', destination: '10.1.0.1' };
const V6 = { source: 'fd02::1', destination: 'fd01::1' };
const seeds = [
  udpPacket({ ...V4, payload: new Uint8Array(30) }),
  tcpPacket({ ...V4, sequence: 1, payload: new Uint8Array(40) }),
  tcpPacket({ ...V4, sequence: 41, payload: new Uint8Array(40) }),
  tcpPacket({ ...V6, options: Uint8Array.of(1, 1, 1, 1), payload: new Uint8Array(10) }),
  ipPacket(V6, 0, Buffer.concat([Uint8Array.of(44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 1), new Uint8Array(20)])),
];

/** A packet with some bytes changed and its end cut off or grown. */
const mangled = fc
  .record({
    seed: fc.constantFrom(...seeds),
    changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    length: fc.option(fc.nat(120)),
  })
  .map(({ seed, changes, length }) => {
    const packet = Buffer.alloc(length ?? seed.length);
    seed.copy(packet);
    for (const [at, value] of changes) if (at < packet.length) packet[at] = value;
    return packet;
  });

/** What an authentic, but hostile or broken peer may send. */
const hostile = fc.record({
  inner: mangled,
  next: fc.constantFrom(4, 41, 6, 17, 0, 44, 59, 60, 255),
  padLength: fc.option(fc.nat(255), { nil: undefined }),
  transport: fc.boolean(),
  tos: fc.nat(255),
});

async function makeReceiver(): Promise<Receiver> {
  const receiver = await Receiver.open();
  for (const sa of [SA, TRANSPORT, AH]) receiver.install(sa);
  return receiver;
}

const lengthOf = (packet: Buffer) => (packet[0]! >> 4 === 6 ? 40 + packet.readUInt16BE(4) : packet.readUInt16BE(2));
const total = (drops: Record<string, number>) => Object.values(drops).reduce((sum, count) => sum + count, 0);

describe('the way in, whatever arrives', () => {
  it('delivers or counts every authentic packet, and never more bytes than the packet says it has', async () => {
    const receiver = await makeReceiver();
    let sequence = 0;
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 12 }), fc.boolean(), (packets, coalesce) => {
        receiver.capabilities = coalesce ? A.CAPABILITY_TUN_TSO | A.CAPABILITY_TUN_USO : 0;
        const before = total(receiver.drops());
        const datagrams = packets.map(({ inner, next, padLength, transport, tos }) => {
          const sa = transport ? TRANSPORT : SA;
          const options = {
            spi: sa.spi,
            sequence: ++sequence,
            next,
            ...(padLength === undefined ? {} : { padLength }),
          };
          return { data: sealEsp(sa, inner, options), tos };
        });
        const frames = receiver.receive(datagrams);
        for (const { packet } of frames) expect(packet).toHaveLength(lengthOf(packet));
        const dropped = total(receiver.drops()) - before;
        if (coalesce) expect(frames.length + dropped).toBeLessThanOrEqual(packets.length);
        else expect(frames.length + dropped).toBe(packets.length);
      }),
      { numRuns: 300 },
    );
  });

  it('counts every datagram of noise, from any socket', async () => {
    const receiver = await makeReceiver();
    const spi = fc.constantFrom(SA.spi, TRANSPORT.spi, AH.spi);
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(spi, fc.uint8Array({ maxLength: 100 })).map(([value, rest]) => {
        const data = Buffer.concat([Buffer.alloc(4), rest]);
        data.writeUInt32BE(value, 0);
        return data;
      }),
      // An IPv4 header, AH or ESP announced, and chance behind it.
      fc
        .tuple(fc.constantFrom(50, 51), spi, fc.uint8Array({ minLength: 8, maxLength: 80 }))
        .map(([protocol, value, rest]) => {
          const upper = Buffer.from(rest);
          upper.writeUInt32BE(value, protocol === 51 ? 4 : 0);
          return ipPacket({ source: '192.0.2.2', destination: '192.0.2.1' }, protocol, upper);
        }),
    );
    const sources = [A.SOURCE_UDP4, A.SOURCE_UDP6, A.SOURCE_RAW4, A.SOURCE_RAW6_ESP, A.SOURCE_RAW6_AH];
    fc.assert(
      fc.property(
        fc.array(noise, { minLength: 1, maxLength: 20 }),
        fc.constantFrom(...sources),
        (datagrams, source) => {
          const before = total(receiver.drops());
          const frames = receiver.receive(
            datagrams.map((data) => ({ data })),
            source,
          );
          const ike = receiver.ike().length;
          expect(frames).toEqual([]);
          expect(total(receiver.drops()) - before + ike).toBe(datagrams.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('survives control messages that make no sense', async () => {
    const receiver = await makeReceiver();
    const data = espPacket(SA, seeds[0]!, { sequence: 1 });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 64 }), fc.nat(600), (control, length) => {
        receiver.prepare([]);
        receiver.layRaw(0, data, control, length);
        const packets = receiver.kernel.inboundPrepare(receiver.arena, A.SOURCE_UDP4, 1);
        receiver.open(packets);
        receiver.finish();
      }),
    );
  });
});
