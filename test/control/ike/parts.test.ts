import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { makeProtection } from '../../../src/control/crypto/protection.ts';
import type { Context } from '../../../src/control/ike/context.ts';
import { Cookies } from '../../../src/control/ike/cookie.ts';
import { ExchangeWindow } from '../../../src/control/ike/exchange-window.ts';
import { Reassembly, sealAll } from '../../../src/control/ike/fragment.ts';
import { inOrder } from '../../../src/control/ike/rules.ts';
import { checkIkeTransition, takesRequest } from '../../../src/control/ike/states.ts';
import type { Task } from '../../../src/control/ike/task.ts';
import { Throttle } from '../../../src/control/ike/throttle.ts';
import { Timers } from '../../../src/control/ike/timers.ts';
import { EXCHANGE, NOTIFY } from '../../../src/control/wire/iana.ts';
import { parseMessage, parseOpened } from '../../../src/control/wire/message.ts';
import { notification } from '../../../src/control/wire/payloads/notify.ts';

const crypto = createProvider('node');

describe('timers', () => {
  test('run in the order of their time, those of one time in the order in which they were set', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean()), { maxLength: 200 }), (entries) => {
        const timers = new Timers({} as Context);
        const ran: number[] = [];
        const set = entries.map(([at], index) => timers.set(at, () => ran.push(index)));
        entries.forEach(([, cancel], index) => {
          if (cancel) timers.cancel(set[index]);
        });
        timers.run(20);
        const expected = entries
          .map(([at, cancelled], index) => ({ at, cancelled, index }))
          .filter(({ cancelled }) => !cancelled)
          .sort((a, b) => a.at - b.at || a.index - b.index);
        expect(ran).toEqual(expected.map(({ index }) => index));
        expect(timers.next()).toBeUndefined();
      }),
    );
  });

  test('that are cancelled take no memory', () => {
    const timers = new Timers({} as Context);
    for (let index = 0; index < 100_000; index++) timers.cancel(timers.set(1e9 + index, () => undefined));
    expect((timers as unknown as { heap: unknown[] }).heap).toEqual([]);
  });
});

describe('the window', () => {
  const task = {} as Task;

  test('takes each ID once, within its size, and remembers answers as long as they may be asked for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.integer({ min: 0, max: 12 })), (size, ids) => {
        const window = new ExchangeWindow(size);
        const answered = new Set<number>();
        for (const id of ids) {
          const kind = window.classify(id);
          if (kind === 'new') {
            expect(answered.has(id)).toBe(false);
            window.answered(id, `digest ${id}`, []);
            answered.add(id);
          } else if (kind === 'answered') {
            expect(window.repeat(id, `digest ${id}`)).toBeDefined();
            expect(window.repeat(id, 'another')).toBeUndefined();
          }
        }
        for (let id = 0; id < window.firstUnanswered; id++) expect(answered.has(id)).toBe(true);
      }),
    );
  });

  test('lets out no more requests than the peer takes, counted from the oldest', () => {
    const window = new ExchangeWindow(1);
    window.sendSize = 3;
    for (const id of [0, 1, 2]) expect(window.send(EXCHANGE.INFORMATIONAL, task, []).messageId).toBe(id);
    expect(window.open).toBe(false);
    window.take(1);
    expect(window.open).toBe(false);
    window.take(0);
    expect(window.open).toBe(true);
    expect(window.take(7)).toBeUndefined();
  });
});

describe('fragments (RFC 7383)', () => {
  const cipher = crypto.cipher(20, 128)!;
  const protection = () =>
    makeProtection(
      { cipher },
      { encryption: new Uint8Array(cipher.keyLength).fill(1), integrity: new Uint8Array() },
      crypto.random,
    );
  const header = {
    spiI: 1n,
    spiR: 2n,
    exchange: EXCHANGE.IKE_AUTH,
    fromInitiator: true,
    response: false,
    messageId: 1,
  };
  const message = (bytes: number, limit: number | undefined) =>
    sealAll(header, [{ kind: 'V', data: new Uint8Array(bytes).fill(9) }], protection(), limit, false);

  test('come together in any order, with repetitions, exactly once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6_000 }),
        fc.integer({ min: 300, max: 1_500 }),
        fc.infiniteStream(fc.nat()),
        (bytes, limit, stream) => {
          const { datagrams } = message(bytes, limit);
          if (datagrams.length === 1) return;
          const order = datagrams
            .flatMap((data) => [data, data])
            .map((data) => ({ data, rank: stream.next().value as number }));
          order.sort((a, b) => a.rank - b.rank);
          const reassembly = new Reassembly();
          const whole = order
            .map(({ data }) => reassembly.add(parseMessage(data), protection()))
            .filter((done) => done !== undefined);
          expect(whole.length).toBeGreaterThanOrEqual(1);
          const { payloads } = parseOpened(whole[0]!.firstPayload, whole[0]!.plaintext);
          expect(payloads).toEqual([{ kind: 'V', data: new Uint8Array(bytes).fill(9) }]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('that are not authentic are not kept', () => {
    const { datagrams } = message(3_000, 600);
    const reassembly = new Reassembly();
    const forged = datagrams[0]!.slice();
    forged[forged.length - 1]! ^= 1;
    expect(() => reassembly.add(parseMessage(forged), protection())).toThrow('not authentic');
    const done = datagrams.map((data) => reassembly.add(parseMessage(data), protection()));
    expect(done.at(-1)).toBeDefined();
  });

  test('more than there may be are refused by the sender, too', () => {
    expect(() => message(60_000, 576)).toThrow('too many fragments');
  });

  test('each fits the path that it was made for', () => {
    const { datagrams } = message(5_000, 700);
    for (const data of datagrams) expect(data.length + 20 + 8 + 4).toBeLessThanOrEqual(700);
  });
});

describe('cookies (RFC 7296 §2.6)', () => {
  const nonce = new Uint8Array(32).fill(3);
  const remote = { address: '192.0.2.1', port: 500 };

  test('are good for exactly the one who got them', () => {
    const cookies = new Cookies(crypto);
    const cookie = cookies.make(0, nonce, remote, 1n);
    expect(cookie.length).toBeLessThanOrEqual(64);
    expect(cookies.check(10, cookie, nonce, remote, 1n)).toBe(true);
    expect(cookies.check(10, cookie, nonce, remote, 2n)).toBe(false);
    expect(cookies.check(10, cookie, nonce, { ...remote, port: 501 }, 1n)).toBe(false);
    expect(cookies.check(10, cookie, nonce, { ...remote, address: '192.0.2.2' }, 1n)).toBe(false);
    expect(cookies.check(10, cookie, new Uint8Array(32), remote, 1n)).toBe(false);
    expect(cookies.check(10, new Uint8Array(), nonce, remote, 1n)).toBe(false);
  });

  test('outlive one change of the secret and no more', () => {
    const cookies = new Cookies(crypto);
    const cookie = cookies.make(0, nonce, remote, 1n);
    expect(cookies.check(130_000, cookie, nonce, remote, 1n)).toBe(true);
    expect(cookies.check(260_000, cookie, nonce, remote, 1n)).toBe(false);
    const later = cookies.make(300_000, nonce, remote, 1n);
    expect(cookies.check(2_000_000, later, nonce, remote, 1n)).toBe(false);
  });
});

describe('throttling', () => {
  test('is bounded, whatever addresses fail', () => {
    const throttle = new Throttle();
    for (let index = 0; index < 20_000; index++) throttle.failed(`10.0.${index >> 8}.${index & 255}`, index);
    expect((throttle as unknown as { records: Map<string, unknown> }).records.size).toBeLessThanOrEqual(4_096);
  });
});

describe('rules', () => {
  test('put payloads into the order of RFC 7296, Appendix C', () => {
    const nonce = { kind: 'NONCE', data: new Uint8Array(32) } as const;
    const ke = { kind: 'KE', method: 31, data: new Uint8Array(32) } as const;
    const sa = { kind: 'SA', proposals: [] } as const;
    const [cookie, nat] = [notification(NOTIFY.COOKIE), notification(NOTIFY.NAT_DETECTION_SOURCE_IP)];
    const other = notification(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED);
    expect(inOrder(EXCHANGE.IKE_SA_INIT, false, [other, nat, nonce, ke, sa, cookie])).toEqual([
      cookie,
      sa,
      ke,
      nonce,
      nat,
      other,
    ]);
    const rekey = notification(NOTIFY.REKEY_SA);
    expect(inOrder(EXCHANGE.CREATE_CHILD_SA, false, [ke, nonce, sa, other, rekey])).toEqual([
      rekey,
      sa,
      nonce,
      ke,
      other,
    ]);
  });
});

describe('states', () => {
  test('let nothing but the handshake reach an SA whose peer has not authenticated', () => {
    for (const exchange of [EXCHANGE.CREATE_CHILD_SA, EXCHANGE.INFORMATIONAL, EXCHANGE.IKE_FOLLOWUP_KE]) {
      expect(takesRequest('CONNECTING', exchange)).toBe(false);
      expect(takesRequest('CREATED', exchange)).toBe(false);
    }
    expect(takesRequest('ESTABLISHED', EXCHANGE.IKE_AUTH)).toBe(false);
  });

  test('have no way back from the end', () => {
    for (const state of ['ESTABLISHED', 'CONNECTING', 'REKEYING', 'DELETING'] as const) {
      expect(() => checkIkeTransition('DESTROYING', state)).toThrow();
    }
    expect(() => checkIkeTransition('CONNECTING', 'REKEYED')).toThrow();
  });
});
