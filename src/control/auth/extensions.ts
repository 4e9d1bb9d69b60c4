/** Extensions of certificates (RFC 5280 §4.2): those that path validation and IKE know. */
import { EspalierError } from '../../errors.ts';
import { ID_TYPE } from '../wire/iana.ts';
import { oidText, readAll, readOnly, readTlv, TAG, type Tlv } from './der.ts';
import { isDn } from './dn.ts';

/** GeneralName (RFC 5280 §4.2.1.6). */
export interface GeneralName {
  /** Context tag number: 1 rfc822Name, 2 dNSName, 4 directoryName, 6 URI, 7 iPAddress. */
  readonly form: number;
  /** ID_TYPE that says the same; undefined for forms that IKE has none for. */
  readonly idType: number | undefined;
  /** A directoryName as its Name, an iPAddress as its bytes, others as text. */
  readonly data: Uint8Array;
}

export const NAME_FORM = { EMAIL: 1, DNS: 2, DIRECTORY: 4, URI: 6, IP: 7 } as const;

export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** Bits of KeyUsage (RFC 5280 §4.2.1.3), by their position. */
export const KEY_USAGE = { digitalSignature: 0, nonRepudiation: 1, keyCertSign: 5, cRLSign: 6 } as const;

export interface Extensions {
  readonly ca: boolean;
  readonly pathLength: number | undefined;
  /** Positions of the bits that are set; undefined without the extension. */
  readonly keyUsage: ReadonlySet<number> | undefined;
  /** Dotted; undefined without the extension. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly subjectAltNames: readonly GeneralName[];
  readonly nameConstraints: NameConstraints | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  /** Dotted types of critical extensions that are not implemented here: the certificate must not be used. */
  readonly unknownCritical: readonly string[];
}

export const EXTENSION = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  extKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
} as const;

/** They ask for nothing as long as no policy is required of a path, and we require none (RFC 5280 §6.1.1). */
const HARMLESS: ReadonlySet<string> = new Set([
  EXTENSION.certificatePolicies,
  EXTENSION.policyMappings,
  EXTENSION.inhibitAnyPolicy,
]);

const bad = (why: string): EspalierError => new EspalierError('ERR_CERTIFICATE', `certificate ${why}`);

export interface RawExtension {
  readonly type: string;
  readonly critical: boolean;
  /** Contents of the OCTET STRING. */
  readonly value: Uint8Array;
}

/**
 * @param field SEQUENCE OF Extension; empty for none
 * @throws EspalierError also for a type that comes twice (RFC 5280 §4.2)
 */
export function readExtensions(field: Uint8Array): RawExtension[] {
  if (field.length === 0) return [];
  const raw = readAll(readOnly(field, TAG.SEQUENCE).value).map(readExtension);
  if (new Set(raw.map(({ type }) => type)).size !== raw.length) throw bad('has an extension twice');
  return raw;
}

function readExtension(tlv: Tlv): RawExtension {
  const parts = readAll(readOnly(tlv.bytes, TAG.SEQUENCE).value);
  const value = parts.at(-1);
  const flag = parts.length === 3 ? parts[1] : undefined;
  const wellFormed = parts[0]?.tag === TAG.OID && value?.tag === TAG.OCTET_STRING;
  if (!wellFormed || parts.length < 2 || parts.length > 3) throw bad('has a malformed extension');
  if (flag !== undefined && flag.tag !== TAG.BOOLEAN) throw bad('has a malformed extension');
  return { type: oidText(parts[0]!.value), critical: flag !== undefined && flag.value[0] !== 0, value: value.value };
}

/** @param field as in `readExtensions` @throws EspalierError */
export function parseExtensions(field: Uint8Array): Extensions {
  const raw = readExtensions(field);
  const get = <T>(type: string, parse: (value: Uint8Array) => T): T | undefined => {
    const found = raw.find((extension) => extension.type === type);
    return found === undefined ? undefined : parse(found.value);
  };
  const known: ReadonlySet<string> = new Set([...Object.values(EXTENSION), ...HARMLESS]);
  return {
    ca: false,
    pathLength: undefined,
    ...get(EXTENSION.basicConstraints, basicConstraints),
    keyUsage: get(EXTENSION.keyUsage, bits),
    extendedKeyUsage: get(EXTENSION.extKeyUsage, (value) =>
      readAll(readOnly(value, TAG.SEQUENCE).value).map((purpose) => oidText(readOnly(purpose.bytes, TAG.OID).value)),
    ),
    subjectAltNames:
      get(EXTENSION.subjectAltName, (value) => readAll(readOnly(value, TAG.SEQUENCE).value).map(generalName)) ?? [],
    nameConstraints: get(EXTENSION.nameConstraints, nameConstraints),
    subjectKeyId: get(EXTENSION.subjectKeyIdentifier, (value) => readOnly(value, TAG.OCTET_STRING).value),
    unknownCritical: raw.filter(({ critical, type }) => critical && !known.has(type)).map(({ type }) => type),
  };
}

/** BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL } */
function basicConstraints(value: Uint8Array): Pick<Extensions, 'ca' | 'pathLength'> {
  const parts = readAll(readOnly(value, TAG.SEQUENCE).value);
  const ca = parts[0]?.tag === TAG.BOOLEAN && parts.shift()!.value[0] !== 0;
  const [length, ...more] = parts;
  if (more.length > 0 || (length !== undefined && length.tag !== TAG.INTEGER))
    throw bad('has malformed basicConstraints');
  // A length of more than one byte is more than any path has.
  const pathLength = length === undefined ? undefined : length.value.length === 1 ? length.value[0]! : 255;
  if (pathLength !== undefined && pathLength > 127 && length!.value.length === 1)
    throw bad('has a negative pathLenConstraint');
  return { ca, pathLength };
}

/** @returns positions of the bits set in a BIT STRING; bit 0 is the first byte's highest */
function bits(value: Uint8Array): ReadonlySet<number> {
  const [, ...octets] = readOnly(value, TAG.BIT_STRING).value;
  return new Set(
    octets.flatMap((octet, at) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => octet & (0x80 >> bit)).map((bit) => at * 8 + bit),
    ),
  );
}

/** @throws EspalierError if a directoryName is malformed */
function generalName({ tag, value }: Tlv): GeneralName {
  const form = tag & 0x1f;
  // A directoryName is tagged explicitly, as Name is a CHOICE.
  const data = form === NAME_FORM.DIRECTORY ? readTlv(value).bytes : value;
  if (form === NAME_FORM.DIRECTORY && !isDn(data)) throw bad('has a malformed name');
  return { form, idType: idTypeOf(form, data.length), data };
}

function idTypeOf(form: number, length: number): number | undefined {
  switch (form) {
    case NAME_FORM.EMAIL:
      return ID_TYPE.ID_RFC822_ADDR;
    case NAME_FORM.DNS:
      return ID_TYPE.ID_FQDN;
    case NAME_FORM.DIRECTORY:
      return ID_TYPE.ID_DER_ASN1_DN;
    case NAME_FORM.IP:
      return length === 4 ? ID_TYPE.ID_IPV4_ADDR : ID_TYPE.ID_IPV6_ADDR;
    default:
      return undefined;
  }
}

/**
 * NameConstraints ::= SEQUENCE { permittedSubtrees [0], excludedSubtrees [1] }, each a list of
 * GeneralSubtree ::= SEQUENCE { base GeneralName, minimum [0] DEFAULT 0, maximum [1] OPTIONAL }
 */
function nameConstraints(value: Uint8Array): NameConstraints {
  const lists = readAll(readOnly(value, TAG.SEQUENCE).value);
  const read = (tag: number): GeneralName[] =>
    lists.filter((list) => list.tag === tag).flatMap((list) => readAll(list.value).map(subtree));
  if (lists.some(({ tag }) => tag !== 0xa0 && tag !== 0xa1)) throw bad('has malformed nameConstraints');
  return { permitted: read(0xa0), excluded: read(0xa1) };
}

function subtree(tlv: Tlv): GeneralName {
  const [base, ...bounds] = readAll(readOnly(tlv.bytes, TAG.SEQUENCE).value);
  // RFC 5280 §4.2.1.10: minimum is 0, which DER leaves out, and maximum is absent.
  if (base === undefined || bounds.length > 0) throw bad('has malformed nameConstraints');
  return generalName(base);
}
