/**
 * Identities of IKE peers (RFC 7296 §3.5, RFC 4945): text of the configuration ↔ ID payload, matching,
 * and a text for logs that no peer can break.
 */
import { EspalierError } from '../../errors.ts';
import type { Identity, LocalAuth, RemoteAuth } from '../config/model.ts';
import { addressBytes, addressText, isAddress } from '../wire/address.ts';
import { equalBytes, toHex } from '../wire/bytes.ts';
import { ID_TYPE, idTypeName } from '../wire/iana.ts';
import { dnKey, dnText, isDn, isEmptyDn, matchDn, parseDn } from './dn.ts';

/** What an ID payload carries. */
export type IdentityBytes = Pick<Identity, 'idType' | 'data'>;

const IP_LENGTH: Readonly<Record<number, number>> = { [ID_TYPE.ID_IPV4_ADDR]: 4, [ID_TYPE.ID_IPV6_ADDR]: 16 };
/** Printable ASCII without a space: neither control characters nor a NUL can hide in a name. */
const NAME = /^[\x21-\x7e]+$/;
/** Longer texts are cut in logs. */
const MAX_TEXT = 200;

const bad = (text: string, why: string): EspalierError =>
  new EspalierError(
    'ERR_IDENTITY',
    `"${text}" ${why}; write e.g. 192.0.2.1, gw.example.org, alice@example.org, keyid:0a0b or CN=gw, O=Example`,
  );

/** Prefixes that say which type is meant, where the text alone would be taken for another. */
const PARSERS: Readonly<Record<string, (text: string) => IdentityBytes>> = {
  ipv4: address,
  ipv6: address,
  fqdn: (text) => name(ID_TYPE.ID_FQDN, text),
  dns: (text) => name(ID_TYPE.ID_FQDN, text),
  email: (text) => name(ID_TYPE.ID_RFC822_ADDR, text),
  rfc822: (text) => name(ID_TYPE.ID_RFC822_ADDR, text),
  keyid: keyId,
  asn1dn: distinguishedName,
};

function address(text: string): IdentityBytes {
  const data = addressBytes(text);
  return { idType: data.length === 4 ? ID_TYPE.ID_IPV4_ADDR : ID_TYPE.ID_IPV6_ADDR, data };
}

function name(idType: number, text: string): IdentityBytes {
  if (!NAME.test(text)) throw bad(text, 'has characters that no name has');
  if (idType === ID_TYPE.ID_FQDN && text.includes('@')) throw bad(text, 'is no host name');
  const star = text.indexOf('*');
  const sign = text.lastIndexOf('@');
  if (idType === ID_TYPE.ID_RFC822_ADDR && (sign < 1 || sign === text.length - 1))
    throw bad(text, 'is no mail address');
  const wildcard = idType === ID_TYPE.ID_FQDN ? text === '*' || text.startsWith('*.') : text.startsWith('*@');
  if (star >= 0 && (!wildcard || text.lastIndexOf('*') > 0)) {
    throw bad(text, 'has a "*" that is neither the first label nor the whole local part');
  }
  return { idType, data: Uint8Array.from(Buffer.from(text, 'latin1')) };
}

function keyId(text: string): IdentityBytes {
  const hex = text.replace(/^0x/, '').replaceAll(':', '');
  if (!/^([0-9a-f]{2})+$/i.test(hex)) throw bad(`keyid:${text}`, 'needs hexadecimal digits in pairs');
  return { idType: ID_TYPE.ID_KEY_ID, data: Uint8Array.from(Buffer.from(hex, 'hex')) };
}

/** @param text as in `CN=gw`, or `#3011…`, the DER itself */
function distinguishedName(text: string): IdentityBytes {
  const data = text.startsWith('#') ? Uint8Array.from(Buffer.from(text.slice(1), 'hex')) : parseDn(text);
  if (!isDn(data)) throw bad(text, 'is not the DER of a distinguished name');
  return { idType: ID_TYPE.ID_DER_ASN1_DN, data };
}

/**
 * @param text an address, a name, a mail address, `keyid:` and hexadecimal digits, or a distinguished
 *   name; a prefix `fqdn:`, `email:`, `ipv4:`, `ipv6:`, `asn1dn:` or a leading `@` (FQDN) settles the type
 * @throws EspalierError `ERR_IDENTITY` or `ERR_ADDRESS`
 */
export function parseIdentity(text: string): Identity {
  return fromBytes(parseBytes(text.trim()));
}

function parseBytes(text: string): IdentityBytes {
  const prefixed = /^([a-z0-9]+):(.*)$/s.exec(text);
  const parser = prefixed === null ? undefined : PARSERS[prefixed[1]!];
  if (parser !== undefined) return parser(prefixed![2]!.trim());
  if (isAddress(text)) return address(text);
  if (text.startsWith('@')) return name(ID_TYPE.ID_FQDN, text.slice(1));
  if (text.includes('=')) return distinguishedName(text);
  return name(text.includes('@') ? ID_TYPE.ID_RFC822_ADDR : ID_TYPE.ID_FQDN, text);
}

/** @returns the identity of an ID payload or a certificate's field, with its text; never throws */
export function fromBytes({ idType, data }: IdentityBytes): Identity {
  return { idType, data, text: identityText({ idType, data }) };
}

/** @returns the identity that an address is */
export const addressIdentity = (text: string): Identity => fromBytes(address(text));

/** @returns whether the data is what its type promises; a malformed identity matches nothing */
export function isWellFormed({ idType, data }: IdentityBytes): boolean {
  switch (idType) {
    case ID_TYPE.ID_IPV4_ADDR:
    case ID_TYPE.ID_IPV6_ADDR:
      return data.length === IP_LENGTH[idType];
    case ID_TYPE.ID_FQDN:
    case ID_TYPE.ID_RFC822_ADDR:
      return NAME.test(ascii(data)) && !data.includes(0x2a);
    case ID_TYPE.ID_DER_ASN1_DN:
      return isDn(data) && !isEmptyDn(data);
    case ID_TYPE.ID_KEY_ID:
      return data.length > 0;
    case ID_TYPE.ID_NULL:
      return data.length === 0;
    default:
      return false;
  }
}

const ascii = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

/** @returns a text for people: bounded, without control characters, whatever the peer sent; never throws */
export function identityText({ idType, data }: IdentityBytes): string {
  return printable(rawText({ idType, data }));
}

function rawText({ idType, data }: IdentityBytes): string {
  switch (idType) {
    case ID_TYPE.ID_IPV4_ADDR:
    case ID_TYPE.ID_IPV6_ADDR:
      if (data.length === IP_LENGTH[idType]) return addressText(data);
      break;
    case ID_TYPE.ID_FQDN:
    case ID_TYPE.ID_RFC822_ADDR:
      return ascii(data);
    case ID_TYPE.ID_DER_ASN1_DN:
      return dnText(data);
    case ID_TYPE.ID_KEY_ID:
      return `keyid:${toHex(data)}`;
    case ID_TYPE.ID_NULL:
      return 'ID_NULL';
  }
  return `${idTypeName(idType)}:${toHex(data)}`;
}

function printable(text: string): string {
  const safe = text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (char) => `\\x${char.codePointAt(0)!.toString(16).padStart(2, '0')}`,
  );
  return safe.length <= MAX_TEXT ? safe : `${safe.slice(0, MAX_TEXT)}…`;
}

/**
 * @param pattern of the configuration: `*.example.org` takes any host below, `*@example.org` any mailbox,
 *   `*` any name, `CN=*` any common name
 * @param actual of the peer
 */
export function matchIdentity(pattern: IdentityBytes, actual: IdentityBytes): boolean {
  if (pattern.idType !== actual.idType || !isWellFormed(actual)) return false;
  switch (pattern.idType) {
    case ID_TYPE.ID_FQDN:
      return matchHost(ascii(pattern.data), ascii(actual.data));
    case ID_TYPE.ID_RFC822_ADDR:
      return matchMailbox(ascii(pattern.data), ascii(actual.data));
    case ID_TYPE.ID_DER_ASN1_DN:
      return matchDn(pattern.data, actual.data);
    default:
      return equalBytes(pattern.data, actual.data);
  }
}

function matchHost(pattern: string, host: string): boolean {
  const wanted = pattern.toLowerCase();
  const found = host.toLowerCase();
  if (wanted === '*') return true;
  if (!wanted.startsWith('*.')) return wanted === found;
  // The label that "*" stands for must not be empty.
  return found.endsWith(wanted.slice(1)) && found.length > wanted.length - 1;
}

/** RFC 5280 §7.5: the domain's letter case does not count, the local part's does. */
function matchMailbox(pattern: string, mailbox: string): boolean {
  const [wantedLocal, wantedDomain] = splitMailbox(pattern);
  const [local, domain] = splitMailbox(mailbox);
  return domain === wantedDomain && local !== '' && (wantedLocal === '*' || wantedLocal === local);
}

function splitMailbox(text: string): [local: string, domain: string] {
  const sign = text.lastIndexOf('@');
  return [text.slice(0, Math.max(0, sign)), text.slice(sign + 1).toLowerCase()];
}

/** @returns the same text for identities that match each other without wildcards */
export function identityKey({ idType, data }: IdentityBytes): string {
  return `${idType} ${comparable(idType, data)}`;
}

function comparable(idType: number, data: Uint8Array): string {
  switch (idType) {
    case ID_TYPE.ID_FQDN:
      return ascii(data).toLowerCase();
    case ID_TYPE.ID_RFC822_ADDR:
      return splitMailbox(ascii(data)).join('@');
    case ID_TYPE.ID_DER_ASN1_DN:
      return dnKey(data) ?? toHex(data);
    default:
      return toHex(data);
  }
}

/** @returns whom the configuration accepts, if that is certain before the peer says it: no wildcards, and not just anybody */
export const namedIdentities = ({ ids }: Pick<RemoteAuth, 'ids'>): readonly Identity[] | undefined =>
  ids.length === 0 || ids.some(({ text }) => text.includes('*')) ? undefined : ids;

/** @returns whether the configuration lets a peer of that identity in (before it has proved anything) */
export function acceptsIdentity(remote: Pick<RemoteAuth, 'ids'>, peer: IdentityBytes): boolean {
  if (!isWellFormed(peer)) return false;
  return remote.ids.length === 0 || remote.ids.some((id) => matchIdentity(id, peer));
}

/**
 * @param subject of the local certificate, DER, where there is one
 * @returns who we say we are: `id`, or the certificate's subject, or the address
 */
export function localIdentity(local: LocalAuth, localAddress: string, subject?: Uint8Array): Identity {
  if (local.auth === 'null') return fromBytes({ idType: ID_TYPE.ID_NULL, data: new Uint8Array() });
  if (local.id !== undefined) return local.id;
  if (local.auth === 'pubkey' && subject !== undefined) {
    return fromBytes({ idType: ID_TYPE.ID_DER_ASN1_DN, data: subject });
  }
  return addressIdentity(localAddress);
}
