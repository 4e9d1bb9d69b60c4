import { describe, expect, it } from 'vitest';
import { pathMtu, sourceAddress } from '../../../src/dataplane/io/path.ts';

describe('the way to a peer', () => {
  it('has a source address and an MTU', () => {
    expect(sourceAddress('127.0.0.9', 0)).toBe('127.0.0.1');
    expect(pathMtu({ address: '127.0.0.9', port: 0 }, 0)).toBeGreaterThanOrEqual(1500);
  });

  it('is none where the system refuses one', () => {
    expect(sourceAddress('255.255.255.255', 0)).toBeUndefined();
    expect(pathMtu({ address: '255.255.255.255', port: 0 }, 0)).toBe(0);
  });
});
