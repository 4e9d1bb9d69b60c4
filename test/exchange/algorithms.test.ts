import { describe, expect, test } from 'vitest';
import { type Network, type Node, pair, type Sides } from './network.ts';

function established(sides: Sides) {
  const made = pair(sides);
  made.network.command(made.left, 'initiate', 'right');
  made.network.settle();
  return made;
}

const both = (proposal: string, esp?: string): Sides => ({
  left: { proposals: [proposal] },
  right: { proposals: [proposal] },
  ...(esp && { leftChild: { esp_proposals: [esp] }, rightChild: { esp_proposals: [esp] } }),
});

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function expectSameKeys(network: Network, left: Node, right: Node): void {
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    const [policy] = [...from.policies.values()];
    const out = from.sas.get(policy!.sa!)!;
    const into = to.installed('in').find(({ spi }) => spi === out.spi)!;
    expect(hex(out.keys.encryption)).toBe(hex(into.keys.encryption));
    expect(hex(out.keys.integrity)).toBe(hex(into.keys.integrity));
  }
  expect(left.core.status(network.now)[0]!.proposal).toBe(right.core.status(network.now)[0]!.proposal);
}

describe('IKE proposals', () => {
  test.each([
    'aes128gcm16-prfsha256-modp2048',
    'aes256gcm16-prfsha384-modp3072',
    'chacha20poly1305-prfsha512-ecp256',
    'aes128-sha256-ecp384',
    'aes256-sha384-ecp521',
    'aes256-sha512-x25519',
    'aes128ctr-sha256-x448',
  ])('%s makes an SA whose keys agree', (proposal) => {
    const { network, left, right } = established(both(proposal));
    expect(left.core.status(network.now)[0]!.state).toBe('ESTABLISHED');
    expectSameKeys(network, left, right);
    network.command(left, 'rekey', 'right');
    network.settle();
    network.command(right, 'rekey', 'net');
    network.pass(6_000);
    expectSameKeys(network, left, right);
  });
});

describe('ESP and AH proposals', () => {
  test.each([
    ['aes256gcm16', 36, 0],
    ['chacha20poly1305', 36, 0],
    ['aes128-sha256', 16, 32],
    ['aes256ctr-sha512', 36, 64],
    ['aes128ccm16', 19, 0],
    ['null-sha384', 0, 48],
    ['aes256gmac', 36, 0],
  ])('%s yields keys of the right lengths', (esp, encryption, integrity) => {
    const { network, left, right } = established(both('aes128gcm16-prfsha256-x25519', esp));
    expectSameKeys(network, left, right);
    const [out] = left.installed('out');
    expect(out!.keys.encryption.length).toBe(encryption);
    expect(out!.keys.integrity.length).toBe(integrity);
  });

  test('ESN is used where both offer it, and not where one does not', () => {
    const without = both('aes128gcm16-prfsha256-x25519', 'aes128gcm16-noesn');
    expect(established(both('aes128gcm16-prfsha256-x25519', 'aes128gcm16')).left.installed('out')[0]!.esn).toBe(true);
    expect(established({ ...without, leftChild: {} }).left.installed('out')[0]!.esn).toBe(false);
  });
});

describe('additional key exchanges (RFC 9370)', () => {
  test('are IKE_INTERMEDIATE exchanges between IKE_SA_INIT and IKE_AUTH', () => {
    const { network, left, right } = established(both('aes256gcm16-prfsha384-x25519-ke1_mlkem768'));
    expect(left.trace.slice(1)).toEqual([
      expect.stringMatching(/^received IKE_SA_INIT 0: .*N\(INTERMEDIATE_EXCHANGE_SUPPORTED\)/),
      expect.stringMatching(/^sent IKE_INTERMEDIATE 1.*: HDR, SK \{KEi\} -->$/),
      expect.stringMatching(/^received IKE_INTERMEDIATE 1: <-- HDR, SK \{KEr\}$/),
      expect.stringMatching(/^sent IKE_AUTH 2/),
      expect.stringMatching(/^received IKE_AUTH 2/),
    ]);
    expect(left.core.status(network.now)[0]!.proposal).toBe('aes256gcm16-prfsha384-x25519-ke1_mlkem768');
    expectSameKeys(network, left, right);
  });

  test('may be several, also over fragments', () => {
    const { network, left, right } = established({
      ...both('aes256-sha512-x25519-ke1_mlkem512-ke2_ecp256-ke3_mlkem1024'),
      control: { fragment_size: 800 },
    });
    expect(left.trace.filter((line) => line.startsWith('sent IKE_INTERMEDIATE')).length).toBe(3);
    expect(left.trace.some((line) => line.includes('fragments'))).toBe(true);
    expectSameKeys(network, left, right);
  });

  test('are IKE_FOLLOWUP_KE exchanges in both rekeyings', () => {
    const sides = both('aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke2_ecp384', 'aes256gcm16-x25519-ke1_mlkem512');
    const { network, left, right } = established(sides);
    network.startTraffic();
    network.command(left, 'rekey', 'net');
    network.pass(1_000);
    expect(left.trace).toContainEqual(
      expect.stringMatching(/^sent IKE_FOLLOWUP_KE \d.*: HDR, SK \{KEi, N\(ADDITIONAL_KEY_EXCHANGE\)\} -->$/),
    );
    expectSameKeys(network, left, right);
    network.command(right, 'rekey', 'left');
    network.pass(1_000);
    expect(right.trace.filter((line) => line.startsWith('sent IKE_FOLLOWUP_KE') && line.endsWith('-->')).length).toBe(
      2,
    );
    network.command(left, 'rekey', 'net');
    network.pass(6_000);
    expectSameKeys(network, left, right);
    expect(network.lost).toEqual([]);
    expect(right.core.status(network.now).length).toBe(1);
  });

  test('are not gone on with for a child of an IKE SA that is being deleted', () => {
    const sides = both('aes256gcm16-prfsha384-x25519', 'aes256gcm16-x25519-ke1_mlkem512');
    const { network, left, right } = established(sides);
    const reserved = right.reserved.size;
    network.tamper = (datagram, from) => {
      if (from === left && left.trace.at(-1)?.startsWith('sent IKE_FOLLOWUP_KE')) {
        network.tamper = (later) => later;
        network.command(right, 'terminate', 'left');
      }
      return datagram;
    };
    network.command(left, 'rekey', 'net');
    network.pass(1_000);
    expect(right.log).toContainEqual(expect.stringContaining('this IKE SA is on its way out'));
    expect(right.events.filter(({ type }) => type === 'child-rekeyed')).toEqual([]);
    network.pass(60_000);
    expect([right.sas.size, right.policies.size, right.reserved.size]).toEqual([0, 0, reserved]);
  });

  test('of both sides at once end with one child and one IKE SA', () => {
    for (let round = 0; round < 6; round++) {
      const sides = both('aes256gcm16-prfsha384-x25519-ke1_mlkem512', 'aes256gcm16-x25519-ke1_mlkem512');
      const { network, left, right } = established(sides);
      network.startTraffic();
      network.command(left, 'rekey', 'net');
      if (round % 2 === 0) network.pass(15);
      network.command(right, 'rekey', 'net');
      network.pass(20_000);
      network.command(left, 'rekey', 'right');
      network.command(right, 'rekey', 'left');
      network.pass(20_000);
      for (const node of [left, right]) {
        expect(node.core.status(network.now)).toMatchObject([
          { state: 'ESTABLISHED', children: [{ state: 'INSTALLED' }] },
        ]);
        expect(node.sas.size).toBe(2);
      }
      expectSameKeys(network, left, right);
      expect(network.lost).toEqual([]);
    }
  });

  test('are left out where the peer has none and ours allow that', () => {
    const { network, left } = established({
      left: { proposals: ['aes128gcm16-prfsha256-x25519-ke1_mlkem768-ke1_none'] },
      right: { proposals: ['aes128gcm16-prfsha256-x25519'] },
    });
    expect(left.core.status(network.now)[0]!.proposal).toBe('aes128gcm16-prfsha256-x25519');
  });

  test('are refused without the peer, where ours insist', () => {
    const { network, left, right } = established({
      right: { proposals: ['aes128gcm16-prfsha256-x25519-ke1_mlkem768'] },
    });
    network.pass(2_000);
    expect(left.core.status(network.now)).toEqual([]);
    expect(right.log).toContainEqual(expect.stringContaining('remove "ke1_mlkem768" from proposals'));
  });
});

describe('post-quantum preshared keys (RFC 8784)', () => {
  const ppk = { ppk_id: 'the-ppk', ppk: 'a long post-quantum preshared key' };

  test('are mixed into the keys where both have one', () => {
    const { network, left, right } = established({
      left: { ...ppk, ppk_required: true },
      right: { ...ppk, ppk_required: true },
    });
    expect(left.trace[2]).toMatch(/N\(PPK_IDENTITY\)\} -->$/);
    expect(left.trace[3]).toMatch(/N\(PPK_IDENTITY\)\}$/);
    expectSameKeys(network, left, right);
  });

  test('are left out where one side has none and neither insists', () => {
    const { network, left, right } = established({ left: ppk, right: { ...ppk, ppk_id: 'another' } });
    expect(left.trace[2]).toMatch(/N\(PPK_IDENTITY\), N\(NO_PPK_AUTH\)\} -->$/);
    expectSameKeys(network, left, right);
  });

  test('end the handshake where they differ, or where one side insists in vain', () => {
    for (const sides of [
      { left: ppk, right: { ...ppk, ppk: 'something else' } },
      { left: { ...ppk, ppk_required: true } },
      { left: {}, right: { ...ppk, ppk_required: true } },
    ]) {
      const { network, left, right } = established(sides);
      network.settle();
      expect(left.sas.size + right.sas.size).toBe(0);
      expect(left.core.status(network.now)).toEqual([]);
    }
  });
});
