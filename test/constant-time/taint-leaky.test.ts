/** The taint machine finds what it is there to find. */
import { createCipheriv } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { compileLeaky } from './leaky/leaky.ts';
import { decode } from './wasm/decode.ts';
import { TaintMachine } from './wasm/machine.ts';

const AT = 32_768;

describe('in a leaky module the taint machine finds', () => {
  const module = decode(compileLeaky());
  let machine: TaintMachine;
  beforeEach(() => {
    machine = new TaintMachine(module, new Uint8Array(1 << 18));
    machine.call('initialise');
    machine.memory.fill(7, AT, AT + 64);
    machine.mark(AT, 64);
    expect(machine.takeFindings()).toEqual([]);
  });

  const found = () => new Set(machine.takeFindings().map(({ leak }) => leak));

  it('the S-box looked up by the key and by the data of a table AES', () => {
    machine.call('setupKey', AT);
    expect(found()).toEqual(new Set(['address']));
    machine.call('encrypt', AT + 16, 2);
    expect(found()).toEqual(new Set(['address']));
    const aes = createCipheriv('aes-128-ecb', Buffer.alloc(16, 7), null).setAutoPadding(false);
    expect(Buffer.from(machine.memory.slice(AT + 16, AT + 32))).toEqual(aes.update(Buffer.alloc(16, 7)));
  });

  it('data that meets a public key', () => {
    machine.mark(AT, 16, false);
    machine.call('setupKey', AT);
    expect(found()).toEqual(new Set());
    machine.call('encrypt', AT + 16, 1);
    expect(found()).toEqual(new Set(['address']));
  });

  it('a comparison that stops early', () => {
    machine.call('equal', AT, AT + 16, 16);
    expect(found()).toEqual(new Set(['branch']));
  });

  it('a division', () => {
    machine.call('reduce', AT, 5);
    expect(found()).toEqual(new Set(['division']));
  });

  it('a select', () => {
    machine.call('choose', AT, 1, 2);
    expect(found()).toEqual(new Set(['select']));
  });

  it('a length', () => {
    machine.call('copy', AT, AT + 64);
    expect(found()).toEqual(new Set(['length']));
  });

  it('nothing where nothing is secret', () => {
    machine.mark(AT, 64, false);
    machine.call('setupKey', AT);
    machine.call('encrypt', AT + 16, 2);
    machine.call('equal', AT, AT + 16, 16);
    expect(found()).toEqual(new Set());
  });
});
