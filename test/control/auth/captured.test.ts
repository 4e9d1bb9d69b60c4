import { describe, expect, it } from 'vitest';
import { type AuthContext, verifyAuth } from '../../../src/control/auth/authenticate.ts';
import { parseIdentity } from '../../../src/control/auth/identity.ts';
import type { RemoteAuth } from '../../../src/control/config/model.ts';
import { createProvider } from '../../../src/control/crypto/index.ts';
import { type IkeAlgorithms, ikeKeys, skeyseed } from '../../../src/control/crypto/keys.ts';
import { protectIke } from '../../../src/control/crypto/protection.ts';
import { TRANSFORM } from '../../../src/control/wire/iana.ts';
import { find, findAll, openMessage, type ParsedMessage, parseMessage } from '../../../src/control/wire/message.ts';
import { CAPTURED_AT, HANDSHAKES, type Handshake, SECRET } from '../captured.ts';

const PROVIDERS = ['node', 'noble'] as const;

/** The algorithms that the responder chose. */
function algorithmsOf(response: ParsedMessage, name: (typeof PROVIDERS)[number]): IkeAlgorithms {
  const provider = createProvider(name);
  const [proposal] = find(response.payloads, 'SA')!.proposals;
  const chosen = (type: number) => proposal!.transforms.find((transform) => transform.type === type);
  const { id, keyBits } = chosen(TRANSFORM.ENCR)!;
  const integ = chosen(TRANSFORM.INTEG);
  const common = { prf: provider.prf(chosen(TRANSFORM.PRF)!.id)!, cipher: provider.cipher(id, keyBits!)! };
  return integ === undefined ? common : { ...common, integrity: provider.integrity(integ.id)! };
}

/** Runs our half of everything over a captured handshake. */
function replay(handshake: Handshake, name: (typeof PROVIDERS)[number]) {
  const [request, response, authRequest, authResponse] = handshake.messages.map(parseMessage);
  const algorithms = algorithmsOf(response!, name);
  const nonceI = find(request!.payloads, 'NONCE')!.data;
  const nonceR = find(response!.payloads, 'NONCE')!.data;
  const seed = skeyseed(algorithms.prf, handshake.key('secret'), nonceI, nonceR);
  const { spiI, spiR } = response!.header;
  const keys = ikeKeys(algorithms, seed, { nonceI, nonceR, spiI, spiR });
  const provider = createProvider(name);
  const protection = protectIke(algorithms, keys, false, provider.random);
  const fromInitiator = openMessage(authRequest!, protection.inbound);
  const fromResponder = openMessage(authResponse!, protection.outbound);
  const common = { provider, prf: algorithms.prf, now: CAPTURED_AT };
  const [initRequest, initResponse] = handshake.messages;
  const initiator: AuthContext = {
    ...common,
    initMessage: initRequest!,
    otherNonce: nonceR,
    skP: keys.pi,
    id: find(fromInitiator.payloads, 'IDi')!,
  };
  const responder: AuthContext = {
    ...common,
    initMessage: initResponse!,
    otherNonce: nonceI,
    skP: keys.pr,
    id: find(fromResponder.payloads, 'IDr')!,
  };
  return {
    seed,
    keys,
    sides: [[initiator, fromInitiator.payloads] as const, [responder, fromResponder.payloads] as const],
  };
}

const remoteOf = ({ anchor }: Handshake, ids: readonly string[]): RemoteAuth => ({
  auth: anchor === undefined ? 'psk' : 'pubkey',
  ids: ids.map(parseIdentity),
  certs: [],
  cacerts: anchor === undefined ? [] : [anchor],
  crls: [],
  psk: Uint8Array.from(Buffer.from(SECRET)),
});

describe.each(HANDSHAKES)('$note', (handshake) => {
  it.each(PROVIDERS)('has the keys that strongSwan logged (%s provider)', (name) => {
    const { seed, keys } = replay(handshake, name);
    expect(seed).toEqual(handshake.key('skeyseed'));
    for (const which of ['d', 'ai', 'ar', 'ei', 'er', 'pi', 'pr'] as const)
      expect(keys[which]).toEqual(handshake.key(which));
  });

  it.each(PROVIDERS)('authenticates both sides (%s provider)', (name) => {
    const { sides } = replay(handshake, name);
    for (const [context, payloads] of sides) {
      const verdict = verifyAuth(
        remoteOf(handshake, ['*.example.org']),
        context,
        find(payloads, 'AUTH')!,
        findAll(payloads, 'CERT'),
      );
      expect(verdict).toMatchObject({ ok: true, how: expect.any(String) });
    }
  });

  it('authenticates nobody else: not with another nonce, identity, SK_p or IKE_SA_INIT message', () => {
    const { sides } = replay(handshake, 'node');
    for (const [context, payloads] of sides) {
      const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
        bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
      const changes: Partial<AuthContext>[] = [
        { otherNonce: flipped(context.otherNonce, 0) },
        { initMessage: flipped(context.initMessage, 100) },
        { skP: flipped(context.skP, 5) },
        { id: parseIdentity('c.example.org') },
      ];
      for (const change of changes) {
        const auth = find(payloads, 'AUTH')!;
        expect(
          verifyAuth(remoteOf(handshake, []), { ...context, ...change }, auth, findAll(payloads, 'CERT')),
        ).toHaveProperty('refusal');
      }
    }
  });
});
