import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  acceptsIdentity,
  addressIdentity,
  fromBytes,
  identityKey,
  identityText,
  localIdentity,
  matchIdentity,
  parseIdentity,
} from '../../../src/control/auth/identity.ts';
import { toHex } from '../../../src/control/wire/bytes.ts';
import { ID_TYPE } from '../../../src/control/wire/iana.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

describe('an identity in text', () => {
  it.each([
    ['192.0.2.1', ID_TYPE.ID_IPV4_ADDR, 'c0000201', '192.0.2.1'],
    ['2001:DB8::1', ID_TYPE.ID_IPV6_ADDR, '20010db8000000000000000000000001', '2001:db8::1'],
    ['gw.example.org', ID_TYPE.ID_FQDN, '67772e6578616d706c652e6f7267', 'gw.example.org'],
    ['@gw', ID_TYPE.ID_FQDN, '6777', 'gw'],
    ['fqdn:192.0.2.1', ID_TYPE.ID_FQDN, '3139322e302e322e31', '192.0.2.1'],
    ['a@b.org', ID_TYPE.ID_RFC822_ADDR, '6140622e6f7267', 'a@b.org'],
    ['keyid:0A0b', ID_TYPE.ID_KEY_ID, '0a0b', 'keyid:0a0b'],
    ['keyid:0x0a0b', ID_TYPE.ID_KEY_ID, '0a0b', 'keyid:0a0b'],
    ['CN=gw', ID_TYPE.ID_DER_ASN1_DN, '300d310b300906035504030c026777'.replace('0c02', '1302'), 'CN=gw'],
  ])('%s has the type and the bytes of its ID payload', (text, idType, hex, canonical) => {
    const identity = parseIdentity(text);
    expect([identity.idType, toHex(identity.data), identity.text]).toEqual([idType, hex, canonical]);
  });

  it('takes a distinguished name in the order of its DER, with escapes and quotes', () => {
    const identity = parseIdentity('C=CH, O="Example, Ltd.", CN=gw\\+1, E=a@b.org');
    expect(identity.text).toBe('C=CH, O=Example\\, Ltd., CN=gw\\+1, E=a@b.org');
    expect(parseIdentity(identity.text).data).toEqual(identity.data);
  });

  it.each([
    '',
    'a b',
    'keyid:xyz',
    'keyid:abc',
    '*foo.org',
    'a.*.org',
    'a*@b.org',
    '@b@',
    'FOO=bar',
    'CN=',
    'ipv4:gw',
    '=x',
  ])('refuses "%s" and says how to write one', (text) => {
    expect(() => parseIdentity(text)).toThrow(/write/);
  });
});

describe('matching', () => {
  it.each([
    ['*.example.org', 'gw.example.org', true],
    ['*.example.org', 'a.b.Example.ORG', true],
    ['*.example.org', 'example.org', false],
    ['*.example.org', 'evilexample.org', false],
    ['*', 'anything', true],
    ['*', 'a@b.org', false],
    ['GW.example.org', 'gw.EXAMPLE.org', true],
    ['*@example.org', 'alice@Example.org', true],
    ['*@example.org', 'alice@evil.org', false],
    ['alice@example.org', 'Alice@example.org', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', 'fqdn:192.0.2.1', false],
    ['keyid:0a', 'keyid:0a', true],
    ['keyid:0a', 'keyid:0a0b', false],
    ['O=Example, CN=*', 'O=EXAMPLE, CN=gw', true],
    ['O=Example, CN=*', 'CN=gw, O=Example', false],
    ['O=Example, CN=*', 'O=Example, CN=gw, CN=more', false],
    ['O=Two  Words', 'O=two words', true],
    ['CN=gw', 'CN=gw2', false],
  ])('%s takes %s: %s', (pattern, actual, expected) => {
    expect(matchIdentity(parseIdentity(pattern), parseIdentity(actual))).toBe(expected);
  });

  it('takes no wildcard from the peer', () => {
    const star = { idType: ID_TYPE.ID_FQDN, data: bytes('*') };
    expect(matchIdentity(parseIdentity('*'), star)).toBe(false);
  });

  it('takes no name with a NUL or a control character in it, even where any identity is accepted', () => {
    for (const text of ['gw.example.org\0.evil', 'gw\n', '']) {
      expect(acceptsIdentity({ ids: [] }, { idType: ID_TYPE.ID_FQDN, data: bytes(text) })).toBe(false);
    }
    expect(acceptsIdentity({ ids: [] }, { idType: ID_TYPE.ID_IPV4_ADDR, data: bytes('abc') })).toBe(false);
    expect(acceptsIdentity({ ids: [] }, { idType: 200, data: bytes('abc') })).toBe(false);
  });

  it('compares distinguished names across string types', () => {
    const printable = parseIdentity('CN=gw');
    const utf8 = { idType: ID_TYPE.ID_DER_ASN1_DN, data: Uint8Array.from(printable.data) };
    utf8.data[11] = 0x0c;
    expect(matchIdentity(printable, utf8)).toBe(true);
  });
});

describe('the key of an identity', () => {
  const utf8 = { idType: ID_TYPE.ID_DER_ASN1_DN, data: parseIdentity('asn1dn:#300d310b300906035504030c026777').data };

  it.each([
    ['GW.Example.org', 'gw.example.org'],
    ['alice@EXAMPLE.org', 'alice@example.org'],
    ['CN=GW', 'CN=gw'],
  ])('is the same for %s and %s, which match', (a, b) => {
    expect(matchIdentity(parseIdentity(a), parseIdentity(b))).toBe(true);
    expect(identityKey(parseIdentity(a))).toBe(identityKey(parseIdentity(b)));
  });

  it('is the same for one name in two string types', () => {
    expect(matchIdentity(parseIdentity('CN=gw'), utf8)).toBe(true);
    expect(identityKey(parseIdentity('CN=gw'))).toBe(identityKey(utf8));
  });

  it.each([
    ['gw.example.org', 'keyid:67772e6578616d706c652e6f7267'],
    ['Alice@example.org', 'alice@example.org'],
    ['CN=a, O=b', 'O=b, CN=a'],
    ['CN=a+O=b', 'CN=a, O=b'],
    ['192.0.2.1', '::c000:201'],
  ])('is another for %s than for %s', (a, b) => {
    expect(identityKey(parseIdentity(a))).not.toBe(identityKey(parseIdentity(b)));
  });
});

describe('the text for logs', () => {
  it('never throws, never spans lines and is bounded, whatever the peer sent', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 600 }), (idType, data) => {
        const text = identityText({ idType, data });
        expect(text).not.toMatch(/\p{Cc}/u);
        expect(text.length).toBeLessThan(300);
        acceptsIdentity({ ids: [parseIdentity('*'), parseIdentity('CN=*')] }, { idType, data });
      }),
    );
  });

  it('stands in for identities without one', () => {
    expect(fromBytes({ idType: ID_TYPE.ID_NULL, data: new Uint8Array() }).text).toBe('ID_NULL');
    expect(identityText({ idType: 99, data: Uint8Array.of(1) })).toBe('ID_TYPE(99):01');
  });
});

describe('the local identity', () => {
  const local = { auth: 'psk', certs: [], hashes: [] } as const;

  it('is the address, unless one is configured', () => {
    expect(localIdentity(local, '192.0.2.1')).toEqual(addressIdentity('192.0.2.1'));
    expect(localIdentity({ ...local, id: parseIdentity('gw') }, '192.0.2.1').text).toBe('gw');
  });

  it('is the subject of the certificate with pubkey', () => {
    const subject = parseIdentity('CN=gw').data;
    expect(localIdentity({ ...local, auth: 'pubkey' }, '192.0.2.1', subject).text).toBe('CN=gw');
  });
});
