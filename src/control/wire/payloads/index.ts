/** Every payload type we know, by its number; whatever is not here is kept opaque with its critical bit. */
import { type AuthPayload, auth } from './auth.ts';
import { type CertPayload, cert } from './cert.ts';
import { type CertreqPayload, certreq } from './certreq.ts';
import type { Codec } from './codec.ts';
import { type CpPayload, cp } from './cp.ts';
import { type DeletePayload, del } from './delete.ts';
import { type EapPayload, eap } from './eap.ts';
import { type IdPayload, idI, idR } from './id.ts';
import { type KePayload, ke } from './ke.ts';
import { type NoncePayload, nonce } from './nonce.ts';
import { type NotifyPayload, notify } from './notify.ts';
import { type SaPayload, sa } from './sa.ts';
import { type TsPayload, tsI, tsR } from './ts.ts';
import { type VendorPayload, vendor } from './vendor.ts';

/** A payload of a type that is not implemented here. */
export interface UnknownPayload {
  readonly kind: 'unknown';
  readonly type: number;
  readonly critical: boolean;
  readonly body: Uint8Array;
}

export type Payload =
  | SaPayload
  | KePayload
  | IdPayload<'IDi'>
  | IdPayload<'IDr'>
  | CertPayload
  | CertreqPayload
  | AuthPayload
  | NoncePayload
  | NotifyPayload
  | DeletePayload
  | VendorPayload
  | TsPayload<'TSi'>
  | TsPayload<'TSr'>
  | CpPayload
  | EapPayload
  | UnknownPayload;

export type PayloadKind = Payload['kind'];
export type PayloadOf<K extends PayloadKind> = Extract<Payload, { readonly kind: K }>;

type Codecs = { readonly [K in Exclude<PayloadKind, 'unknown'>]: Codec<PayloadOf<K>> };

const CODECS: Codecs = {
  SA: sa,
  KE: ke,
  IDi: idI,
  IDr: idR,
  CERT: cert,
  CERTREQ: certreq,
  AUTH: auth,
  NONCE: nonce,
  N: notify,
  D: del,
  V: vendor,
  TSi: tsI,
  TSr: tsR,
  CP: cp,
  EAP: eap,
};

const BY_TYPE = new Map<number, Codec<Payload>>(
  Object.values(CODECS).map((codec) => [codec.type, codec as unknown as Codec<Payload>]),
);

/** @returns the codec of a payload type read from the wire, if we know the type */
export const codecOfType = (type: number): Codec<Payload> | undefined => BY_TYPE.get(type);

/** @returns the codec of a known payload */
export const codecOf = (kind: Exclude<PayloadKind, 'unknown'>): Codec<Payload> =>
  CODECS[kind] as unknown as Codec<Payload>;
