import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ENCR, INTEG } from '../../../src/algorithms.ts';
import type { ConfigError } from '../../../src/control/config/error.ts';
import { configFromObject, configFromText, loadConfig } from '../../../src/control/config/load.ts';
import type { Config } from '../../../src/control/config/model.ts';

const config = (text: string): Config => configFromText(text, 'test.yaml').config;
const SECRET = 'a secret of the required length';

const problems = (text: string): string[] => {
  try {
    configFromText(text, 'test.yaml');
  } catch (error) {
    return (error as ConfigError).message.split('\n');
  }
  throw new Error('nothing is wrong with it');
};

const connection = (lines: string): Config['connections'][number] =>
  config(`connections:\n  home:\n    remote_addrs: 192.0.2.2\n    local: { secret: ${SECRET} }\n${lines}`)
    .connections[0]!;

describe('a configuration', () => {
  it("has swanctl's defaults", () => {
    expect(config('')).toMatchObject({
      gateway: {
        device: 'espalier0',
        workers: 1,
        backend: 'wasm',
        port: 500,
        portNatT: 4500,
        installRoutes: true,
        inboundClear: 'discard',
      },
      control: { crypto: 'node', limits: { retransmitTimeout: 4, retransmitBase: 1.8, retransmitTries: 5 } },
    });
    expect(connection('    children: { net: }\n')).toMatchObject({
      localPort: 500,
      remotePort: 500,
      rekeyTime: 14_400,
      overTime: 1440,
      randTime: 1440,
      mobike: true,
      children: [
        {
          mode: 'tunnel',
          localTs: [{ text: 'dynamic', protocol: 0 }],
          rekeyTime: 3600,
          lifeTime: 3960,
          randTime: 360,
          rekeyBytes: 0,
          lifeBytes: 0,
          dpdAction: 'clear',
          closeAction: 'none',
          startAction: 'none',
          replayWindow: 1024,
        },
      ],
    });
  });

  it('takes the secret of one side for both, as text, hexadecimal or base64', () => {
    const bytes = (secret: string) => {
      const { local, remote } = config(
        `connections:\n  home:\n    local: { id: a }\n    remote: { id: b, secret: ${secret} }\n`,
      ).connections[0]!;
      expect(local.psk).toEqual(remote.psk);
      return Buffer.from(local.psk!).toString('latin1');
    };
    expect(bytes('correct horse')).toBe('correct horse');
    expect(bytes('0x68656c6c6f')).toBe('hello');
    expect(bytes('0saGVsbG8=')).toBe('hello');
    expect(bytes("'12345678901234567890'")).toBe('12345678901234567890');
  });

  it('reads times, sizes and lists in all their forms', () => {
    const { children, dpdDelay, localAddrs, remoteAddrs } = config(`connections:
  home:
    local: { secret: ${SECRET} }
    local_addrs: 192.0.2.1, 2001:DB8::1
    remote_addrs: [198.51.100.0/24, 203.0.113.4-203.0.113.9, 203.0.113.77]
    dpd_delay: 1.5m
    children:
      net: { rekey_time: 1d, life_time: 26h, rekey_bytes: 1G, rand_bytes: 64k, esp_proposals: [aes128gcm16, aes256-sha256] }
`).connections[0]!;
    expect({ dpdDelay, localAddrs, remoteAddrs }).toEqual({
      dpdDelay: 90,
      localAddrs: ['192.0.2.1', '2001:db8::1'],
      remoteAddrs: ['198.51.100.0/24', '203.0.113.4-203.0.113.9', '203.0.113.77'],
    });
    expect(children[0]).toMatchObject({
      rekeyTime: 86_400,
      lifeTime: 93_600,
      randTime: 7200,
      rekeyBytes: 2 ** 30,
      lifeBytes: Math.round(2 ** 30 * 1.1),
      randBytes: 65_536,
    });
    expect(children[0]!.proposals.map(({ text }) => text)).toEqual(['aes128gcm16', 'aes256-sha256']);
  });

  it('reads what becomes of DF and DSCP', () => {
    const child = (keys: string) => connection(`    children: { net: { ${keys} } }\n`).children[0]!;
    expect(child('copy_df: yes')).toMatchObject({ df: 'copy', copyDscp: true });
    expect(child('copy_df: no, copy_dscp: no')).toMatchObject({ df: 'clear', copyDscp: false });
    expect(child("copy_df: set, dscp_map: ['46=34', '0x0a = 0']")).toMatchObject({
      df: 'set',
      dscpMap: { 46: 34, 10: 0 },
    });
    expect(child("dscp_map: '1=2, 3=4'").dscpMap).toEqual({ 1: 2, 3: 4 });
    const wrong = (keys: string) => problems(`connections: { home: { children: { net: { ${keys} } } } }`)[0];
    expect(wrong('copy_df: maybe')).toMatch(/copy_df: "maybe" is none of yes, no and set/);
    expect(wrong('dscp_map: 46')).toMatch(/dscp_map: "46" is no pair of DSCPs; write e\.g\. 46=34/);
    expect(wrong("dscp_map: '46=64'")).toMatch(/dscp_map: "64" is not a whole number from 0 to 63/);
  });

  it('reads %any as every address and every identity', () => {
    const [home] = config(
      `connections: { home: { remote_addrs: '%any', local: { secret: ${SECRET} }, remote: { id: '%any' } } }`,
    ).connections;
    expect({ addrs: home!.remoteAddrs, ids: home!.remote.ids }).toEqual({ addrs: [], ids: [] });
  });

  it('reads traffic selectors with protocols, ports and ICMP types', () => {
    const { localTs } = connection(
      "    children: { net: { local_ts: ['10.1.0.0/16[tcp/80-90]', 'dynamic[udp/53]', '10.0.0.1[icmp/3(4)]', '::1-::9[58/128]'] } }\n",
    ).children[0]!;
    expect(localTs).toEqual([
      {
        text: '10.1.0.0/16[tcp/80-90]',
        protocol: 6,
        addresses: { from: '10.1.0.0', to: '10.1.255.255' },
        ports: { from: 80, to: 90 },
      },
      { text: 'dynamic[udp/53]', protocol: 17, ports: { from: 53, to: 53 } },
      {
        text: '10.0.0.1[icmp/3(4)]',
        protocol: 1,
        addresses: { from: '10.0.0.1', to: '10.0.0.1' },
        ports: { from: 772, to: 772 },
      },
      {
        text: '::1-::9[58/128]',
        protocol: 58,
        addresses: { from: '::1', to: '::9' },
        ports: { from: 32_768, to: 33_023 },
      },
    ]);
  });

  it('is the same from an object, with numbers and booleans', () => {
    const text = `gateway: { workers: 2, mark: 0x10 }\nconnections: { home: { encap: yes, local: { secret: ${SECRET} } } }`;
    const { config: fromObject } = configFromObject({
      gateway: { workers: 2, mark: 16 },
      connections: { home: { encap: true, local: { secret: SECRET } } },
    });
    expect(fromObject).toEqual(config(text));
  });

  it('names key paths, without lines, of an object that is wrong', () => {
    expect(() => configFromObject({ gateway: { workers: 'many' } })).toThrowError(
      'configuration: gateway.workers: "many" is not a whole number from 1 to 64',
    );
  });

  it('resolves names of backends and files from its own folder', () => {
    const { gateway, control } = configFromText(
      'gateway: { backend: ./mine.js }\ncontrol: { socket: run/x.sock }',
      'x',
      '/etc/espalier',
    ).config;
    expect([gateway.backend, control.socket]).toEqual(['/etc/espalier/mine.js', '/etc/espalier/run/x.sock']);
  });

  it('refuses text that repeats itself without end', () => {
    expect(problems('gateway: &a { device: *a }')[0]).toMatch(/nested too deeply/);
  });

  it.each([
    ['connections: { "a b": { local: { secret: x } } }', /is no name/],
    ['connections: { a: { local: { secret: x, auth: maybe } } }', /"maybe" is no way to authenticate/],
    ['connections: { a: { local: { auth: pubkey }, remote: { secret: x } } }', /needs "certs" and "key"/],
    ['connections: { a: { local: { secret: x }, remote: { auth: pubkey } } }', /trusts nobody/],
    ['connections: { a: { local: { secret: x, id: "*.example.org" } } }', /without wildcards/],
    [
      'connections: { a: { local: { secret: x }, children: { n: { start_action: trap } } } }',
      /give an address in remote_addrs/,
    ],
    [
      'connections: { a: { local: { secret: x }, children: { n: { mode: transport, local_ts: 10.0.0.0/8 } } } }',
      /transport protects/,
    ],
    [
      'connections: { a: { local: { secret: x }, children: { n: { rekey_time: 1h, life_time: 30m } } } }',
      /must be above rekey_time/,
    ],
    ['connections: { a: { version: 1, local: { secret: x } } }', /"1" is not one of 0, 2/],
    ['connections: { a: { ppk_id: x, local: { secret: x } } }', /give it in "ppk"/],
    ['connections: { a: { mobike: maybe, local: { secret: x } } }', /neither yes nor no/],
    ['connections: { a: { local: { secret: 0x123 } } }', /pairs of hexadecimal digits/],
    ['gateway: { addresses: 10.1.0.1 }', /needs a prefix length; write e\.g\. 10\.1\.0\.1\/24/],
    ['gateway: { port: 4500 }', /must differ from port/],
    ['gateway: { workers: }', /has no value/],
    ['gateway: { backend: wams }', /"wams" is not one of wasm, .*did you mean "wasm"/],
    ['gateway: { shadow: default }', /"default" is not one of wasm, .*, none; name a module/],
    ['connections: { a: { backend: none, local: { secret: x } } }', /"none" is not one of .*, default;/],
    ['control: { metrics: 9500 }', /is not an address and a port/],
    ['policies: { p: { action: protect } }', /must name one of "sas"/],
    ['policies: { p: { action: protect, sa: x } }', /there is no SA "x"/],
    ['policies: { p: { } }', /policies\.p\.action: is missing/],
    ['- list', /must be a map/],
  ])('refuses %s', (text, message) => {
    expect(problems(text).join('\n')).toMatch(message);
  });
});

describe('manual SAs and policies', () => {
  const SA = `sas:
  to:
    direction: out
    spi: 0x1000
    local: 192.0.2.1
    remote: 192.0.2.2
    encap: yes
    algorithm: aes128-sha256
    key: 0x000102030405060708090a0b0c0d0e0f
    auth_key: 0x${'ab'.repeat(32)}
    local_ts: 10.1.0.0/16, 2001:db8:1::/48
    remote_ts: 10.2.0.0/16
`;

  it('have the keys and lengths of their algorithm, and selectors of one IP version each', () => {
    const { parameters } = config(SA).manual[0]!;
    expect(parameters).toMatchObject({
      spi: 4096,
      udpEncapsulation: true,
      local: { address: '192.0.2.1', port: 4500 },
      suite: { encr: ENCR.AES_CBC, keyBits: 128, integ: INTEG.HMAC_SHA2_256_128 },
    });
    expect(parameters.keys.integrity).toHaveLength(32);
    expect(parameters.selectors).toHaveLength(1);
  });

  it('bring a policy along unless one is written', () => {
    expect(config(SA).policies).toMatchObject([{ name: 'to', direction: 'out', action: 'protect', sa: 'to' }]);
    const written = config(
      `${SA}policies:\n  mine: { action: protect, sa: to, priority: 7, remote_ts: 10.2.3.0/24 }\n`,
    );
    expect(written.policies).toMatchObject([{ name: 'mine', direction: 'out', priority: 7 }]);
  });

  it('cover both directions and both IP versions where nothing else is said', () => {
    const { policies } = config("policies: { ssh: { action: bypass, remote_ts: 'dynamic[tcp/22]' } }");
    expect(policies.map(({ direction, selector }) => [direction, selector.remote.addresses.from])).toEqual([
      ['in', '0.0.0.0'],
      ['in', '::'],
      ['out', '0.0.0.0'],
      ['out', '::'],
    ]);
  });

  it('refuse two inbound SAs with one SPI, and keys of a wrong length', () => {
    const inbound = (name: string) => `${SA.replace('sas:\n', '').replace('to:', `${name}:`).replace('out', 'in')}`;
    expect(problems(`sas:\n${inbound('a')}${inbound('b')}`)).toEqual([
      expect.stringMatching(/^test\.yaml:15:5: sas\.b\.spi: is already that of the inbound SA "a"/),
    ]);
    expect(problems(SA.replace('aes128-sha256', 'aes128gcm16'))).toEqual([
      expect.stringMatching(/sas\.to\.key: must have 20 bytes \(the last 4 of them the salt\), has 16/),
      expect.stringMatching(/sas\.to\.auth_key: has no use with this algorithm/),
    ]);
  });
});

describe('files of a configuration', () => {
  const PEM = `-----BEGIN CERTIFICATE-----
MIIBVTCB/KADAgECAhQwWWtLXFcQy7AbzxUTkDzRyKLJdTAKBggqhkjOPQQDAjAA
-----END CERTIFICATE-----
`;

  function folder(files: Readonly<Record<string, string>>, mode = 0o600): string {
    const directory = mkdtempSync(join(tmpdir(), 'espalier-config-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text, { mode });
    return directory;
  }

  it('give a secret without its line feed', () => {
    const directory = folder({ 'a.yaml': 'connections: { a: { local: { secret_file: psk } } }', psk: `${SECRET}\n` });
    const { config: loaded, warnings } = loadConfig(join(directory, 'a.yaml'));
    expect(Buffer.from(loaded.connections[0]!.local.psk!).toString()).toBe(SECRET);
    expect(warnings).toEqual([]);
  });

  it('are the only problem where a secret is named and cannot be read', () => {
    expect(problems('connections: { a: { local: { secret_file: psk }, remote: { id: b } } }')).toEqual([
      expect.stringMatching(/local\.secret_file: there is no file .*psk; names are relative/),
    ]);
  });

  it('are warned of when every user can read their secrets, and when those are short', () => {
    const directory = folder({ 'a.yaml': 'connections: { a: { local: { secret: short } } }' }, 0o644);
    const { warnings } = loadConfig(join(directory, 'a.yaml'));
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/chmod 600/),
      expect.stringMatching(/has 5 bytes/),
    ]);
  });

  it('are warned of algorithms that the RFCs advise against', () => {
    const text = `connections: { a: { local: { secret: ${SECRET} }, children: { n: { esp_proposals: aes128-sha1 } } } }`;
    expect(configFromText(text, 'test.yaml').warnings).toMatchObject([
      { message: expect.stringMatching(/^sha1 is SHOULD NOT \(RFC 8221 §6\)/), position: { line: 1 } },
    ]);
  });

  it('are warned of a key that has no effect in IKEv2', () => {
    const text = `connections: { a: { local: { secret: ${SECRET} }, dpd_timeout: 2m } }`;
    expect(configFromText(text, 'test.yaml').warnings).toMatchObject([
      { message: expect.stringMatching(/^has no effect in IKEv2/), position: { line: 1 } },
    ]);
  });

  it('must be certificates where certificates are named', () => {
    expect(() => new X509Certificate(PEM)).toThrow();
    const directory = folder({ 'ca.pem': PEM, 'key.pem': 'nothing' });
    expect(() =>
      configFromObject(
        {
          connections: {
            a: { local: { certs: 'key.pem', key: 'key.pem' }, remote: { cacerts: 'ca.pem' } },
          },
        },
        directory,
      ),
    ).toThrowError(
      /local\.certs: key\.pem is not an X\.509.*local\.key: key\.pem is not a private key.*cacerts: ca\.pem is not an X\.509/s,
    );
  });
});
