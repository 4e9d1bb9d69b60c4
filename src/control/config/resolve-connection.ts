/** One entry of `connections`: values to the model, with what depends on several keys at once. */
import { parseIdentity } from '../auth/identity.ts';
import { discouraged, parseProposals } from '../proposals/keywords.ts';
import { isAddress } from '../wire/address.ts';
import { PROTOCOL } from '../wire/iana.ts';
import type { ResolveContext } from './context.ts';
import { readCertificates, readCrls, readPrivateKey, readSecret } from './credentials.ts';
import type { KeyPath } from './error.ts';
import type {
  ChildConfig,
  ConnectionConfig,
  Identity,
  LocalAuth,
  ProposalConfig,
  RemoteAuth,
  SelectorConfig,
} from './model.ts';
import type { ChildValues, ConnectionValues, LocalValues, RemoteValues } from './schema.ts';
import { parseSelector } from './selectors.ts';
import { isHostName, valueError } from './values.ts';

/** swanctl: `over_time` and a child's `life_time` lie a tenth behind the rekey time. */
const TENTH = 0.1;
/** Shorter secrets fall to a dictionary (RFC 7296 §2.15: as much randomness as the strongest key negotiated). */
const SHORT_SECRET = 16;

export function resolveConnection(
  context: ResolveContext,
  name: string,
  values: ConnectionValues,
  defaults: { readonly port: number },
): ConnectionConfig {
  const at = (...keys: (string | number)[]): KeyPath => ['connections', name, ...keys];
  const { local, remote } = resolveAuth(context, at, values);
  const overTime = values.over_time ?? Math.round((values.rekey_time || values.reauth_time) * TENTH);
  const randTime = values.rand_time ?? overTime;
  if (values.rekey_time > 0 && randTime >= values.rekey_time) {
    context.report(at('rand_time'), 'must be below rekey_time, or the IKE SA may be rekeyed at once');
  }
  if (values.ppk_id !== undefined && values.ppk === undefined) {
    context.report(at('ppk_id'), 'names a post-quantum preshared key; give it in "ppk"');
  }
  if (values.ppk !== undefined && values.ppk_id === undefined) {
    context.report(at('ppk'), 'needs a name that both sides know; give it in "ppk_id" (RFC 8784)');
  }
  if (values.dpd_timeout !== undefined) {
    const instead = 'a peer is given up when the retransmissions end (control.retransmit_tries)';
    context.warn(at('dpd_timeout'), `has no effect in IKEv2, as in swanctl.conf: ${instead}`);
  }
  const children = resolveChildren(context, at, values);
  if (!values.remote_addrs.some((entry) => isAddress(entry) || isHostName(entry)))
    reportUnreachable(context, at, children);
  return {
    name,
    localAddrs: values.local_addrs,
    remoteAddrs: values.remote_addrs,
    localPort: values.local_port ?? defaults.port,
    remotePort: values.remote_port,
    proposals: proposals(context, at('proposals'), PROTOCOL.IKE, values.proposals),
    local,
    remote,
    children,
    encap: values.encap,
    mobike: values.mobike,
    childless: values.childless,
    fragmentation: values.fragmentation,
    dpdDelay: values.dpd_delay,
    keyingtries: values.keyingtries,
    unique: values.unique,
    reauthTime: values.reauth_time,
    rekeyTime: values.rekey_time,
    overTime,
    randTime,
    sendCert: values.send_cert,
    sendCertreq: values.send_certreq,
    ...optional(
      'ppkId',
      values.ppk_id === undefined ? undefined : context.attempt(at('ppk_id'), () => keyId(values.ppk_id!)),
    ),
    ...optional('ppk', values.ppk),
    ppkRequired: values.ppk_required,
  };
}

/** Leaves a key out rather than setting it to undefined. */
const optional = <K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } =>
  (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };

/** RFC 8784 §5.1: a PPK_ID is octets; in the configuration, text. */
const keyId = (text: string): Identity => {
  const identity = parseIdentity(`keyid:${Buffer.from(text).toString('hex')}`);
  return { ...identity, text };
};

function proposals(
  context: ResolveContext,
  path: KeyPath,
  protocol: number,
  texts: readonly string[],
): ProposalConfig[] {
  if (texts.length === 0) context.report(path, 'is empty; write default, or leave the key out');
  return texts.flatMap((text, index) => {
    const place = texts.length > 1 ? [...path, index] : path;
    const parsed = context.attempt(place, () => parseProposals(protocol, [text])) ?? [];
    for (const { keyword, status, source } of parsed.flatMap(discouraged)) {
      context.warn(place, `${keyword} is ${status} (${source}); keep it only for a peer that has nothing better`);
    }
    return parsed;
  });
}

type At = (...keys: (string | number)[]) => KeyPath;

function resolveAuth(
  context: ResolveContext,
  at: At,
  values: ConnectionValues,
): { local: LocalAuth; remote: RemoteAuth } {
  const localSecret = secretOf(context, at, 'local', values.local);
  const remoteSecret = secretOf(context, at, 'remote', values.remote);
  // A file that cannot be read is a problem of its own; what it would have decided is not another.
  const named = [values.local, values.remote].some((side) => (side.secret ?? side.secret_file) !== undefined);
  const local = resolveLocal(context, at, values.local, { named, bytes: localSecret ?? remoteSecret });
  const remote = resolveRemote(context, at, values.remote, { named, bytes: remoteSecret ?? localSecret });
  return { local, remote };
}

interface Secret {
  /** Does either side have one? */
  readonly named: boolean;
  readonly bytes: Uint8Array | undefined;
}

function secretOf(
  context: ResolveContext,
  at: At,
  side: 'local' | 'remote',
  values: LocalValues | RemoteValues,
): Uint8Array | undefined {
  if (values.secret !== undefined && values.secret_file !== undefined) {
    context.report(at(side, 'secret_file'), 'is there beside "secret"; keep one of them');
  }
  const secret =
    values.secret ??
    (values.secret_file === undefined ? undefined : readSecret(context, at(side, 'secret_file'), values.secret_file));
  if (secret !== undefined && secret.length < SHORT_SECRET) {
    context.warn(
      at(side, 'secret'),
      `has ${secret.length} bytes; a secret that cannot be guessed has ${SHORT_SECRET} or more`,
    );
  }
  return secret;
}

function resolveLocal(context: ResolveContext, at: At, values: LocalValues, secret: Secret): LocalAuth {
  const { method, hashes } = values.auth ?? {
    method: secret.named && values.certs.length === 0 ? 'psk' : 'pubkey',
    hashes: [],
  };
  if (method === 'any') context.report(at('local', 'auth'), 'must say how to authenticate: psk, pubkey or null');
  if (method === 'psk' && !secret.named) reportMissingSecret(context, at, 'local');
  const certs = readCertificates(context, at('local', 'certs'), values.certs);
  const key =
    values.key === undefined
      ? undefined
      : readPrivateKey(context, at('local', 'key'), values.key, values.key_secret, certs[0]);
  if (method === 'pubkey') {
    if (values.certs.length === 0)
      context.report(at('local'), 'needs "certs" and "key" to authenticate, or a "secret"');
    else if (values.key === undefined)
      context.report(at('local'), 'needs the private key of its certificate; name its file in "key"');
  }
  const id = values.id === undefined ? undefined : context.attempt(at('local', 'id'), () => exactIdentity(values.id!));
  return {
    auth: method === 'any' ? 'psk' : method,
    ...optional('id', id),
    certs,
    ...optional('privateKey', key),
    hashes,
    ...(method === 'psk' && optional('psk', secret.bytes)),
  };
}

function exactIdentity(text: string): Identity {
  if (text.includes('*')) throw valueError(`"${text}" has a "*"; say who this side is, without wildcards`);
  return parseIdentity(text);
}

function resolveRemote(context: ResolveContext, at: At, values: RemoteValues, secret: Secret): RemoteAuth {
  const trusted = values.certs.length + values.cacerts.length > 0;
  const { method } = values.auth ?? { method: secret.named && !trusted ? 'psk' : 'pubkey' };
  if ((method === 'psk' || method === 'any') && !secret.named && !(method === 'any' && trusted)) {
    reportMissingSecret(context, at, 'remote');
  }
  if (method === 'pubkey' && !trusted) {
    context.report(
      at('remote'),
      'trusts nobody; name the CA in "cacerts", the peer\'s certificate in "certs", or give a "secret"',
    );
  }
  const ids = values.id.filter((text) => text !== '%any');
  return {
    auth: method,
    ids: ids.flatMap((text, index) => {
      const path = values.id.length > 1 ? at('remote', 'id', index) : at('remote', 'id');
      return context.attempt(path, () => parseIdentity(text)) ?? [];
    }),
    certs: readCertificates(context, at('remote', 'certs'), values.certs),
    cacerts: readCertificates(context, at('remote', 'cacerts'), values.cacerts),
    crls: readCrls(context, at('remote', 'crls'), values.crls),
    ...((method === 'psk' || method === 'any') && optional('psk', secret.bytes)),
  };
}

function reportMissingSecret(context: ResolveContext, at: At, side: 'local' | 'remote'): void {
  const message =
    'authenticates by psk but has no "secret", and neither has the other side; add one, or a "secret_file"';
  if (!context.problems.some((problem) => problem.message === message)) context.report(at(side), message);
}

const DYNAMIC: readonly SelectorConfig[] = [parseSelector('dynamic')];

function resolveChildren(context: ResolveContext, at: At, values: ConnectionValues): ChildConfig[] {
  return Object.entries(values.children).map(([name, child]) =>
    resolveChild(context, (...keys) => at('children', name, ...keys), name, child),
  );
}

function resolveChild(context: ResolveContext, at: At, name: string, values: ChildValues): ChildConfig {
  const esp = values.esp_proposals ?? (values.ah_proposals ? [] : ['default']);
  const own = [
    ...(values.ah_proposals ? proposals(context, at('ah_proposals'), PROTOCOL.AH, values.ah_proposals) : []),
    ...(esp.length > 0 || values.esp_proposals ? proposals(context, at('esp_proposals'), PROTOCOL.ESP, esp) : []),
  ];
  const localTs = selectors(context, at('local_ts'), values.local_ts);
  const remoteTs = selectors(context, at('remote_ts'), values.remote_ts);
  if (
    values.mode === 'transport' &&
    [...localTs, ...remoteTs].some(({ addresses }) => addresses && addresses.from !== addresses.to)
  ) {
    context.report(
      at('mode'),
      'transport protects the traffic of the two gateways only; leave local_ts and remote_ts out, or use tunnel',
    );
  }
  const time = limits(context, at, values, 'time');
  const bytes = limits(context, at, values, 'bytes');
  const packets = limits(context, at, values, 'packets');
  return {
    name,
    mode: values.mode,
    proposals: own,
    localTs,
    remoteTs,
    startAction: values.start_action,
    closeAction: values.close_action,
    dpdAction: values.dpd_action,
    whenDown: values.when_down,
    rekeyTime: time.rekey,
    lifeTime: time.life,
    randTime: time.rand,
    rekeyBytes: bytes.rekey,
    lifeBytes: bytes.life,
    randBytes: bytes.rand,
    rekeyPackets: packets.rekey,
    lifePackets: packets.life,
    randPackets: packets.rand,
    replayWindow: values.replay_window,
    tfcPadding: values.tfc_padding,
    tfcDummies: values.tfc_dummies,
    df: values.copy_df,
    copyDscp: values.copy_dscp,
    ...(values.dscp_map && { dscpMap: values.dscp_map }),
    priority: values.priority,
  };
}

function selectors(
  context: ResolveContext,
  path: KeyPath,
  values: readonly SelectorConfig[] | undefined,
): readonly SelectorConfig[] {
  if (values?.length === 0) context.report(path, 'is empty; leave the key out for dynamic, or write e.g. 10.1.0.0/16');
  return values ?? DYNAMIC;
}

/** swanctl's defaults: life = 1.1 × rekey, rand = life − rekey. */
function limits(context: ResolveContext, at: At, values: ChildValues, unit: 'time' | 'bytes' | 'packets') {
  const rekey = values[`rekey_${unit}`];
  const life = values[`life_${unit}`] ?? Math.round(rekey * (1 + TENTH));
  const rand = values[`rand_${unit}`] ?? Math.max(0, life - rekey);
  if (life > 0 && rekey > life)
    context.report(at(`life_${unit}`), `must be above rekey_${unit}, or the SA ends before it is replaced`);
  if (rekey > 0 && rand >= rekey)
    context.report(at(`rand_${unit}`), `must be below rekey_${unit}, or the SA may be rekeyed at once`);
  return { rekey, life, rand };
}

function reportUnreachable(context: ResolveContext, at: At, children: readonly ChildConfig[]): void {
  for (const { name, startAction } of children) {
    if (startAction !== 'none') {
      context.report(
        at('children', name, 'start_action'),
        `"${startAction}" needs a peer to start with; give an address in remote_addrs of the connection`,
      );
    }
  }
}
