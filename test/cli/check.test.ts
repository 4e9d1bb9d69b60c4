import { describe, expect, it } from 'vitest';
import { espalier, folder } from './command.ts';

const connection = (lines: string): string => `connections:
  home:
    remote_addrs: 192.0.2.2
    local: { auth: psk, id: a.example.org, secret: a long enough secret text }
    remote: { auth: psk, id: b.example.org }
${lines}`;

/** What is broken; the file; the place that must be named, as `line:column: key`; what must be said. */
const BROKEN: readonly (readonly [what: string, yaml: string, place: string, hint: RegExp])[] = [
  ['YAML that does not end', 'gateway:\n  addresses: [10.1.0.1/24\ncontrol: {}\n', '3:1', /not valid YAML: .*\]/],
  ['a tab as indentation', 'gateway:\n\tport: 500\n', '2:1', /not valid YAML: tabs/],
  [
    'an unknown key',
    connection('    remote_adrs: 192.0.2.3\n'),
    '6:5: connections.home.remote_adrs',
    /did you mean "remote_addrs"/,
  ],
  ['an unknown section', 'conections: {}\n', '1:1: conections', /did you mean "connections"/],
  [
    'a bad address',
    connection('    local_addrs: [192.0.2.1, 192.0.2.300]\n'),
    '6:30: connections.home.local_addrs[1]',
    /"192\.0\.2\.300" is not an IP address; write/,
  ],
  [
    'a missing secret',
    'connections:\n  home:\n    local: { auth: psk, id: a }\n    remote: { auth: psk }\n',
    '3:5: connections.home.local',
    /has no "secret", and neither has the other side/,
  ],
  [
    'a bad proposal',
    connection('    proposals: aes128gcm16-prfsha265-x25519\n'),
    '6:5: connections.home.proposals',
    /"prfsha265" is no keyword .*did you mean "prfsha256"/,
  ],
  [
    'an IKE proposal without a PRF',
    connection('    proposals:\n      - default\n      - aes128gcm16-x25519\n'),
    '8:9: connections.home.proposals[1]',
    /needs a PRF.*add e\.g\. prfsha256/,
  ],
  [
    'encryption without integrity',
    connection('    children:\n      net:\n        esp_proposals: aes256\n'),
    '8:9: connections.home.children.net.esp_proposals',
    /without integrity.*add e\.g\. sha256/,
  ],
  ['a name twice', 'connections:\n  home: {}\n  office: {}\n  home: {}\n', '4:3: connections.home', /is there twice/],
  [
    'children of two connections with overlapping names',
    connection('    children: { net: {} }\n') +
      connection('    children:\n      net: {}\n').replace('connections:\n', '').replace('home:', 'office:'),
    '12:7: connections.office.children.net',
    /already the name of connection "home"/,
  ],
  [
    'a bad time',
    connection('    rekey_time: 4 hours\n'),
    '6:5: connections.home.rekey_time',
    /"4 hours" is not a time; write e\.g\. 30s/,
  ],
  [
    'a bad traffic selector',
    connection('    children:\n      net:\n        remote_ts:\n          - 10.2.0.0/33\n'),
    '9:13: connections.home.children.net.remote_ts[0]',
    /prefix length from 0 to 32/,
  ],
  [
    'a certificate that is not there',
    connection('    children: {}\n').replace('auth: psk, id: b.example.org', 'cacerts: ca.pem'),
    '5:15: connections.home.remote.cacerts',
    /there is no file .*ca\.pem/,
  ],
  ['a list where a map belongs', 'gateway:\n  - device\n', '1:1: gateway', /must be a map/],
  [
    'a manual SA with a short key',
    'sas:\n  out:\n    direction: out\n    spi: 0x1000\n    local: 192.0.2.1\n    remote: 192.0.2.2\n    algorithm: aes128gcm16\n    key: 0x0011\n',
    '8:5: sas.out.key',
    /must have 20 bytes \(the last 4 of them the salt\), has 2/,
  ],
];

describe('espalier check', () => {
  it.each(BROKEN)('names file, line and key of %s, exits 78 and shows no stack trace', async (_, yaml, place, hint) => {
    const cwd = folder({ 'gateway.yaml': yaml });
    const { code, stdout, stderr } = await espalier(['check', '-c', 'gateway.yaml'], { cwd });
    expect(stderr).toContain(`gateway.yaml:${place}: `);
    expect(stderr).toMatch(hint);
    expect(stderr).not.toMatch(/^\s+at |node:internal|Error:/m);
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
  });

  it('tells every problem of a file in one run, in the order of its lines', async () => {
    const cwd = folder({
      'gateway.yaml': `gateway: { mtu: large }\n${connection('    dpd_delay: soon\n    mobile: yes\n')}  empty: {}\n`,
    });
    const { code, stderr } = await espalier(['check', '-c', 'gateway.yaml'], { cwd });
    const lines = stderr.trimEnd().split('\n');
    expect(lines.map((line) => /^gateway\.yaml:(\d+):/.exec(line)?.[1])).toEqual(['1', '7', '8', '9', '9']);
    expect(code).toBe(78);
  });

  it('says that a file is not there', async () => {
    const { code, stderr } = await espalier(['check', '-c', 'nowhere.yaml']);
    expect({ code, stderr }).toEqual({ code: 78, stderr: 'nowhere.yaml: there is no such file\n' });
  });

  it('accepts a configuration and counts what is in it', async () => {
    const cwd = folder({ 'gateway.yaml': connection('    children:\n      net:\n        remote_ts: 10.2.0.0/24\n') });
    const { code, stdout, stderr } = await espalier(['check', '-c', 'gateway.yaml'], { cwd });
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'gateway.yaml: correct: 1 connection, 1 child\n',
      stderr: '',
    });
  });
});
