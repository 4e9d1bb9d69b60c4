/** The IKE SA first, its children after it (RFC 6023). */
import { describe, expect, test } from 'vitest';
import { established } from './established.ts';

describe('without a child (RFC 6023)', () => {
  test('childless force makes the IKE SA first and the children after it', () => {
    const { network, left } = established({ left: { childless: 'force' } });
    expect(left.trace[2]).toMatch(/AUTH\} -->$/);
    expect(left.trace[4]).toMatch(/^sent CREATE_CHILD_SA 2/);
    expect(left.core.status(network.now)).toMatchObject([{ children: [{ name: 'net' }] }]);
  });

  test('childless force takes no child with the IKE SA in the other role, either', () => {
    const refusing = established({ right: { childless: 'force' } });
    expect(refusing.right.core.status(refusing.network.now)).toMatchObject([{ state: 'ESTABLISHED', children: [] }]);
    expect(refusing.right.log).toContainEqual(expect.stringContaining('childless is "force"'));
    const willing = established({ left: { childless: 'prefer' }, right: { childless: 'force' } });
    expect(willing.right.core.status(willing.network.now)).toMatchObject([{ children: [{ name: 'net' }] }]);
  });

  test('childless never answers such a peer without an SA', () => {
    const { network, left } = established({ left: { childless: 'force' }, right: { childless: 'never' } });
    expect(left.core.status(network.now)).toEqual([]);
    expect(left.log).toContainEqual(expect.stringContaining('childless is "force"'));
  });
});
