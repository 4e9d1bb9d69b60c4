/** Entries of `sas` and `policies`: SAs with keys from the file, and the SPD's own entries (RFC 4301 §4.4.1). */
import { type CipherSuite, INTEG, suiteLengths } from '../../algorithms.ts';
import type { Direction, SaParameters } from '../../contract.ts';
import { parseProposal } from '../proposals/keywords.ts';
import { isAead } from '../proposals/vocabulary.ts';
import { PROTOCOL, TRANSFORM } from '../wire/iana.ts';
import type { ResolveContext } from './context.ts';
import type { KeyPath } from './error.ts';
import type { ManualSaConfig, PolicyConfig } from './model.ts';
import type { ManualSaValues, PolicyValues } from './schema.ts';
import { pairSelectors, parseSelector } from './selectors.ts';
import { valueError } from './values.ts';

/** Where the policy goes that an outbound manual SA brings along; children use the same. */
const DEFAULT_PRIORITY = 1000;
const DYNAMIC = [parseSelector('dynamic')];

export function resolveManualSa(
  context: ResolveContext,
  name: string,
  values: ManualSaValues,
  defaults: { readonly portNatT: number },
): ManualSaConfig | undefined {
  const at = (...keys: string[]): KeyPath => ['sas', name, ...keys];
  if (values.local.includes(':') !== values.remote.includes(':')) {
    context.report(at('remote'), 'is not of the same IP version as local');
  }
  if (values.encap && values.protocol === 'ah') {
    context.report(at('encap'), 'AH cannot be encapsulated in UDP (RFC 3948 §1); use esp');
  }
  const suite = context.attempt(at('algorithm'), () => parseSuite(values));
  if (!suite) return undefined;
  checkKeys(context, at, values, suite);
  const selectors = pairSelectors(values.local_ts ?? DYNAMIC, values.remote_ts ?? DYNAMIC, {
    local: { from: values.local, to: values.local },
    remote: { from: values.remote, to: values.remote },
  });
  if (selectors.length === 0)
    context.report(at(), 'has no local_ts that goes with a remote_ts: IP versions or protocols differ');
  const parameters: ManualSaConfig['parameters'] = {
    direction: values.direction,
    protocol: values.protocol,
    mode: values.mode,
    spi: values.spi,
    local: { address: values.local, port: values.local_port ?? defaults.portNatT },
    remote: { address: values.remote, port: values.remote_port },
    udpEncapsulation: values.encap,
    suite,
    keys: { encryption: values.key ?? new Uint8Array(), integrity: values.auth_key ?? new Uint8Array() },
    esn: values.esn,
    replayWindow: values.replay_window,
    selectors,
    ...hardLimits(values),
    tfcPadding: values.tfc_padding,
    tfcDummies: values.tfc_dummies,
    df: values.copy_df,
    copyDscp: values.copy_dscp,
    ...(values.dscp_map && { dscpMap: values.dscp_map }),
  };
  return { name, parameters, lifeTime: values.life_time };
}

function hardLimits({ life_bytes, life_packets }: ManualSaValues): Pick<SaParameters, 'lifetime'> {
  if (life_bytes === 0 && life_packets === 0) return {};
  return {
    lifetime: {
      ...(life_bytes > 0 && { hardBytes: life_bytes }),
      ...(life_packets > 0 && { hardPackets: life_packets }),
    },
  };
}

/** A manual SA has one algorithm, not a choice of them. */
function parseSuite({ protocol, algorithm }: ManualSaValues): CipherSuite {
  const { transforms } = parseProposal(protocol === 'ah' ? PROTOCOL.AH : PROTOCOL.ESP, algorithm);
  const encryption = transforms.filter(({ type }) => type === TRANSFORM.ENCR);
  const integrity = transforms.filter(({ type }) => type === TRANSFORM.INTEG);
  const other = transforms.some(({ type }) => type === TRANSFORM.KE || type >= TRANSFORM.ADDKE1);
  if (encryption.length > 1 || integrity.length > 1 || other) {
    throw valueError(
      `"${algorithm}" is a choice or has a key exchange; name one algorithm, e.g. aes128gcm16 or aes128-sha256`,
    );
  }
  const encr = encryption[0];
  const keyBits = encr === undefined ? 0 : (encr.keyBits ?? (isAead(encr.id) ? 256 : 0));
  return { ...(encr && { encr: encr.id }), keyBits, integ: integrity[0]?.id ?? INTEG.NONE };
}

function checkKeys(
  context: ResolveContext,
  at: (...keys: string[]) => KeyPath,
  values: ManualSaValues,
  suite: CipherSuite,
): void {
  const lengths = suiteLengths(suite);
  const isAh = values.protocol === 'ah';
  const wanted = {
    key: isAh ? 0 : lengths.key + lengths.salt,
    auth_key: lengths.integKey + (isAh ? lengths.salt : 0),
  };
  const salt = lengths.salt > 0 ? ` (the last ${lengths.salt} of them the salt)` : '';
  for (const name of ['key', 'auth_key'] as const) {
    const given = values[name]?.length ?? 0;
    if (given === wanted[name]) continue;
    const saltHere = isAh === (name === 'auth_key') ? salt : '';
    const message =
      wanted[name] === 0
        ? 'has no use with this algorithm; remove it'
        : `must have ${wanted[name]} bytes${saltHere}, has ${given}`;
    context.report(at(name), message);
  }
}

/** @returns one entry for each direction and selector */
export function resolvePolicy(
  context: ResolveContext,
  name: string,
  values: PolicyValues,
  sas: ReadonlyMap<string, ManualSaConfig>,
): PolicyConfig[] {
  const at = (...keys: string[]): KeyPath => ['policies', name, ...keys];
  if (values.action === 'protect' && values.sa === undefined) {
    context.report(
      at('sa'),
      'is missing; "protect" must name one of "sas" (children of connections have policies of their own)',
    );
  }
  if (values.action !== 'protect' && values.sa !== undefined) {
    context.report(at('sa'), `has no meaning with "${values.action}"; remove it`);
  }
  const sa = values.sa === undefined ? undefined : sas.get(values.sa);
  if (values.sa !== undefined && sa === undefined) context.report(at('sa'), `there is no SA "${values.sa}" in "sas"`);
  const directions: readonly Direction[] = sa
    ? [sa.parameters.direction]
    : values.direction === 'both'
      ? ['in', 'out']
      : [values.direction];
  const selectors = pairSelectors(values.local_ts ?? DYNAMIC, values.remote_ts ?? DYNAMIC);
  if (selectors.length === 0)
    context.report(at(), 'has no local_ts that goes with a remote_ts: IP versions or protocols differ');
  return directions.flatMap((direction) =>
    selectors.map((selector) => ({
      name,
      direction,
      action: values.action,
      priority: values.priority,
      selector,
      ...(sa && { sa: sa.name }),
    })),
  );
}

/** @returns policies for outbound SAs that none of `policies` names, so that traffic finds them */
export const impliedPolicies = (sas: readonly ManualSaConfig[], policies: readonly PolicyConfig[]): PolicyConfig[] =>
  sas
    .filter(({ name, parameters }) => parameters.direction === 'out' && !policies.some((policy) => policy.sa === name))
    .flatMap(({ name, parameters }) =>
      parameters.selectors.map((selector) => ({
        name,
        direction: 'out' as const,
        action: 'protect' as const,
        priority: DEFAULT_PRIORITY,
        selector,
        sa: name,
      })),
    );
