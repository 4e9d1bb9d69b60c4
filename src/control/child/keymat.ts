/** From a chosen ESP or AH proposal and KEYMAT to what the data plane installs (RFC 7296 §2.17). */
import { type CipherSuite, ENCR, encryption, INTEG, integrity } from '../../algorithms.ts';
import type { Direction, SaKeys, SaParameters } from '../../contract.ts';
import { type ChildKeys, childKeys, keymat } from '../crypto/keys.ts';
import type { Prf } from '../crypto/provider.ts';
import { ESN } from '../crypto/registry.ts';
import type { IkeSa } from '../ike/sa.ts';
import { TRANSFORM } from '../wire/iana.ts';
import type { Transform } from '../wire/payloads/sa.ts';
import type { ChildSa } from './child-sa.ts';
import { pairs } from './narrowing.ts';

/**
 * @returns suite and sequence numbers of a chosen proposal
 * @throws Error if it protects nothing: such a proposal cannot have been configured
 */
export function suiteOf(transforms: readonly Transform[]): { suite: CipherSuite; esn: boolean } {
  const pick = (type: number) => transforms.find((transform) => transform.type === type);
  const cipher = pick(TRANSFORM.ENCR);
  const algorithm = cipher && encryption(cipher.id);
  const integ = pick(TRANSFORM.INTEG)?.id ?? INTEG.NONE;
  const combined = (algorithm?.icvLength ?? 0) > 0;
  if (cipher !== undefined && algorithm === undefined) throw new Error(`no ESP cipher has the number ${cipher.id}`);
  if (!combined && integrity(integ) === undefined) throw new Error('a child SA without integrity must not exist');
  const esn = pick(TRANSFORM.ESN)?.id === ESN.YES;
  if (cipher === undefined) return { suite: { keyBits: 0, integ }, esn };
  const keyBits = cipher.id === ENCR.NULL ? 0 : (cipher.keyBits ?? algorithm!.keyBits[0]!);
  return { suite: { encr: cipher.id, keyBits, integ: combined ? INTEG.NONE : integ }, esn };
}

/** @returns bytes of both keys of one direction, salts included */
function keyLengths(suite: CipherSuite): { encryption: number; integrity: number } {
  const salt = suite.encr === undefined ? 0 : encryption(suite.encr)!.saltLength;
  const integ = integrity(suite.integ);
  return { encryption: suite.keyBits / 8 + salt, integrity: (integ?.keyLength ?? 0) + (integ?.saltLength ?? 0) };
}

export interface KeymatInputs {
  readonly nonceI: Uint8Array;
  readonly nonceR: Uint8Array;
  /** Of a fresh key exchange. */
  readonly secret?: Uint8Array;
  /** Of additional key exchanges (RFC 9370 §2.2.4). */
  readonly additional?: readonly Uint8Array[];
}

/** @returns the keys of both directions of a child SA */
export function deriveChildKeys(prf: Prf, d: Uint8Array, suite: CipherSuite, inputs: KeymatInputs): ChildKeys {
  const lengths = keyLengths(suite);
  const length = 2 * (lengths.encryption + lengths.integrity);
  const material = keymat(prf, d, inputs.nonceI, inputs.nonceR, length, inputs.secret, inputs.additional);
  return childKeys(material, lengths.encryption, lengths.integrity);
}

/** Bytes and packets after which a child is rekeyed, jitter taken off already. */
export interface SoftLimits {
  readonly softBytes: number | undefined;
  readonly softPackets: number | undefined;
}

/** @returns whether a child goes in UDP: as its IKE SA's path is now, and never AH (RFC 3948 §1) */
export const isEncapsulated = ({ owner, agreement }: ChildSa): boolean =>
  owner.udpEncapsulation && agreement.protocol === 'esp';

/** @returns the SA of one direction, as the data plane takes it */
export function saParameters(
  sa: IkeSa,
  child: ChildSa,
  direction: Direction,
  keys: SaKeys,
  soft: SoftLimits,
): SaParameters {
  const { agreement, config } = child;
  const { softBytes, softPackets } = soft;
  return {
    direction,
    protocol: agreement.protocol,
    mode: agreement.mode,
    spi: direction === 'in' ? agreement.spiIn : agreement.spiOut,
    local: sa.local,
    remote: sa.remote,
    udpEncapsulation: isEncapsulated(child),
    suite: agreement.suite,
    keys,
    esn: agreement.esn,
    replayWindow: config.replayWindow,
    selectors: pairs(agreement.local, agreement.remote),
    lifetime: {
      ...(softBytes !== undefined && { softBytes }),
      ...(config.lifeBytes > 0 && { hardBytes: config.lifeBytes }),
      ...(softPackets !== undefined && { softPackets }),
      ...(config.lifePackets > 0 && { hardPackets: config.lifePackets }),
    },
    ...(config.tfcPadding > 0 && { tfcPadding: config.tfcPadding }),
    ...(config.tfcDummies > 0 && direction === 'out' && { tfcDummies: config.tfcDummies }),
    df: config.df,
    copyDscp: config.copyDscp,
    ...(config.dscpMap && { dscpMap: config.dscpMap }),
    name: config.name,
    connection: sa.connection.name,
  };
}
