import { describe, expect, it } from 'vitest';
import { type Case, cases, Ends } from './matrix.ts';

const ends = await Ends.open();
const all = cases((suite) => ends.knows(suite));

/** The header of a packet in UDP is the system's, so only what it carries is the same. */
const upperOf = (packet: Buffer) => packet.subarray(packet[0]! >> 4 === 4 ? 20 : 40);

describe('what the kernel sends, the kernel receives', () => {
  const groupOf = ({ name }: Case) => name.slice(0, name.indexOf(','));
  it.each([...new Set(all.map(groupOf))])('%s', (group) => {
    for (const each of all.filter((one) => groupOf(one) === group)) {
      const opened = ends.open(each, ends.seal(each));
      expect(opened, each.name).toHaveLength(1);
      if (each.sa.udpEncapsulation && each.sa.mode === 'transport') {
        expect(upperOf(opened[0]!), each.name).toEqual(upperOf(each.packet));
      } else expect(opened[0], each.name).toEqual(each.packet);
    }
  });

  it('knows hundreds of combinations', () => {
    expect(all.length).toBeGreaterThan(200);
  });
});
