import { describe, expect, it } from 'vitest';
import { SmallMap, SmallSet } from '../../../src/control/ike/small-map.ts';

describe('a small map', () => {
  it('holds entries in the order in which they came, and replaces them where they stand', () => {
    const map = new SmallMap<string, number>().set('a', 1).set('b', 2).set('a', 3);
    expect([...map]).toEqual([
      ['a', 3],
      ['b', 2],
    ]);
    expect([map.size, map.get('b'), map.get('c'), map.has('a'), map.has('c')]).toEqual([2, 2, undefined, true, false]);
  });

  it('lets go of entries by key and by value, and says whether there was one', () => {
    const map = new SmallMap<string, number>().set('a', 1).set('b', 2).set('c', 3);
    expect([map.delete('b'), map.delete('b')]).toEqual([true, false]);
    map.deleteValue(1);
    map.deleteValue(1);
    expect([...map.keys()]).toEqual(['c']);
    map.clear();
    expect([map.size, [...map.values()]]).toEqual([0, []]);
  });

  it('may change while somebody goes through it', () => {
    const map = new SmallMap<string, number>().set('a', 1).set('b', 2);
    const seen: string[] = [];
    for (const [key] of map) {
      seen.push(key);
      map.delete('a');
      map.set('c', 3);
    }
    expect(seen).toEqual(['a', 'b']);
    expect([...map.keys()]).toEqual(['b', 'c']);
  });
});

describe('a small set', () => {
  it('holds everything once, in the order in which it came', () => {
    const set = new SmallSet<string>().add('a').add('b').add('a');
    expect([...set]).toEqual(['a', 'b']);
    expect([set.delete('a'), set.delete('a'), set.has('b'), set.size]).toEqual([true, false, true, 1]);
    set.clear();
    expect([...set]).toEqual([]);
  });
});
