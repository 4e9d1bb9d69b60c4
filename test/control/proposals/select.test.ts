import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseProposals } from '../../../src/control/proposals/keywords.ts';
import {
  additionalMethods,
  checkAnswer,
  keMethod,
  offer,
  selectProposal,
} from '../../../src/control/proposals/select.ts';
import { PROTOCOL, TRANSFORM } from '../../../src/control/wire/iana.ts';
import type { Proposal } from '../../../src/control/wire/payloads/sa.ts';

const { IKE, ESP } = PROTOCOL;
const none = new Uint8Array();
const ours = (...texts: string[]) => parseProposals(IKE, texts);
const theirs = (...texts: string[]) => offer(parseProposals(IKE, texts), none);

const words = (result: ReturnType<typeof selectProposal>): string =>
  'refusal' in result ? result.refusal : result.proposal.transforms.map(({ type, id }) => `${type}:${id}`).join(' ');

describe('choosing a proposal', () => {
  test('goes by our order, inside each type too', () => {
    const result = selectProposal(
      ours('aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519'),
      theirs('aes128gcm16-aes256gcm16-prfsha256-prfsha384-x25519-ecp384'),
    );
    expect(words(result)).toBe('1:20 2:6 4:20');
  });

  test('takes the method of the KE payload where that is allowed', () => {
    const result = selectProposal(
      ours('aes128gcm16-prfsha256-ecp384-x25519'),
      theirs('aes128gcm16-prfsha256-x25519-ecp384'),
      {
        preferKe: 31,
      },
    );
    expect('proposal' in result && keMethod(result.proposal.transforms)).toBe(31);
  });

  test('answers with the number of the proposal that it took', () => {
    const result = selectProposal(
      ours('aes128-sha256-x25519'),
      theirs('aes128gcm16-prfsha256-x25519', 'aes128-sha256-x25519'),
    );
    expect('proposal' in result && result.proposal.number).toBe(2);
  });

  test('never takes a transform with an attribute that it does not know', () => {
    const [offered] = theirs('aes128gcm16-prfsha256-x25519');
    const strange = offered!.transforms.map((transform) => ({ ...transform, unknownAttribute: true as const }));
    expect(
      words(selectProposal(ours('aes128gcm16-prfsha256-x25519'), [{ ...offered!, transforms: strange }])),
    ).toContain('the peer offered');
  });

  test('does not do one key exchange method twice (RFC 9370 §2.2.1)', () => {
    const proposals = ['aes128gcm16-prfsha256-x25519-ecp256-ke1_x25519-ke1_ecp256'];
    const result = selectProposal(ours(...proposals), theirs(...proposals));
    if ('refusal' in result) throw new Error(result.refusal);
    expect([keMethod(result.proposal.transforms), ...additionalMethods(result.proposal.transforms)]).toEqual([31, 19]);
  });

  test.each([
    ['aes128gcm16-prfsha256-x25519', 'aes128gcm16-prfsha256-ecp256', 'add "ecp256" to proposals'],
    ['aes128gcm16-prfsha256-x25519', 'aes128gcm16-prfsha384-ecp256', 'add "prfsha384-ecp256" to proposals'],
    [
      'aes128gcm16-prfsha256-x25519-ke1_mlkem768',
      'aes128gcm16-prfsha256-x25519',
      'remove "ke1_mlkem768" from proposals',
    ],
  ])('%s against %s says what to change', (mine, peers, advice) => {
    const result = selectProposal(ours(mine), theirs(peers));
    expect(result).toMatchObject({ refusal: expect.stringContaining(advice) });
  });

  test('leaves key exchange out of IKE_AUTH, whatever is offered (RFC 7296 §1.2)', () => {
    const esp = parseProposals(ESP, ['aes128gcm16-x25519']);
    const spi = Uint8Array.of(0, 0, 1, 0);
    const result = selectProposal(esp, offer(esp, spi), { withoutKe: true });
    expect('proposal' in result && result.proposal.transforms.some(({ type }) => type === TRANSFORM.KE)).toBe(false);
  });
});

describe('an answer', () => {
  const offered = theirs('aes128gcm16-aes256gcm16-prfsha256-x25519-ecp256');
  const [first] = offered as [Proposal];
  const pick = (...ids: number[]): Proposal => ({
    ...first,
    transforms: ids.map((index) => first.transforms[index]!),
  });

  test('with one of our transforms of each type is taken', () => {
    expect(checkAnswer(offered, [pick(0, 2, 3)])).toHaveProperty('transforms');
  });

  test.each([
    ['two of one type', [pick(0, 1, 2, 3)]],
    ['a type missing', [pick(0, 2)]],
    ['a number that was not offered', [{ ...pick(0, 2, 3), number: 9 }]],
    ['another protocol', [{ ...pick(0, 2, 3), protocol: ESP }]],
    ['two proposals', [pick(0, 2, 3), pick(0, 2, 3)]],
    ['no proposal', []],
    [
      'a transform that was not offered',
      [{ ...pick(0, 2), transforms: [...pick(0, 2).transforms, { type: TRANSFORM.KE, id: 14 }] }],
    ],
    [
      'a private algorithm number',
      [{ ...pick(0, 2), transforms: [...pick(0, 2).transforms, { type: TRANSFORM.KE, id: 1024 }] }],
    ],
  ])('with %s is refused', (_what, answer) => {
    expect(checkAnswer(offered, answer)).toHaveProperty('refusal');
  });

  test('that we choose ourselves is always one that we would take', () => {
    const vocabulary = [
      'aes128gcm16',
      'aes256gcm16',
      'prfsha256',
      'prfsha384',
      'x25519',
      'ecp256',
      'ke1_mlkem512',
      'ke1_ecp384',
      'ke1_none',
    ];
    const proposal = fc
      .subarray(vocabulary, { minLength: 1 })
      .map((some) => [...new Set(['aes128gcm16', 'prfsha256', 'x25519', ...some])].join('-'));
    fc.assert(
      fc.property(proposal, proposal, (mine, peers) => {
        const asked = theirs(peers);
        const result = selectProposal(ours(mine), asked);
        if ('refusal' in result) return;
        expect(checkAnswer(asked, [result.proposal])).toHaveProperty('transforms');
      }),
    );
  });
});
