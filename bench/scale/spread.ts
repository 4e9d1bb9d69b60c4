/** Where traffic of `bench scale` goes: one address behind gateway B for each SA. */

export const NETWORK = { from: '10.2.0.0', to: '10.2.255.255' } as const;

/** @returns the bytes of an address in 10.2.1.0 and above; the bed itself has 10.2.0.0/24 */
export const peerAddress = (peer: number): readonly [number, number, number, number] => [
  10,
  2,
  1 + (peer >>> 8),
  peer & 255,
];

/** Peers are visited in steps of this prime, which takes in all of them and no two neighbours. */
export const STRIDE = 7919;
