/** Name constraints of CA certificates (RFC 5280 §4.2.1.10, §6.1.4 g). */
import type { Certificate } from './certificate.ts';
import { isEmptyDn, isWithinDn } from './dn.ts';
import { type GeneralName, NAME_FORM, type NameConstraints } from './extensions.ts';
import { identityText } from './identity.ts';

const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1').toLowerCase();

/** Whether `name` lies within the subtree `base`; both have the same form. */
const WITHIN: Readonly<Record<number, (base: Uint8Array, name: Uint8Array) => boolean>> = {
  [NAME_FORM.DNS]: (base, name) => withinDomain(text(base), text(name)),
  [NAME_FORM.EMAIL]: (base, name) => withinMail(text(base), text(name)),
  [NAME_FORM.DIRECTORY]: isWithinDn,
  [NAME_FORM.IP]: withinNetwork,
};

/** `example.org` covers itself and all below; an empty base covers everything. */
function withinDomain(base: string, name: string): boolean {
  const suffix = base.startsWith('.') ? base : `.${base}`;
  return base === '' || name === base || name.endsWith(suffix);
}

/** `a@b.org` is one mailbox, `b.org` all of a host, `.b.org` all hosts below. */
function withinMail(base: string, name: string): boolean {
  if (base.includes('@')) return name === base;
  const host = name.slice(name.lastIndexOf('@') + 1);
  return base.startsWith('.') ? host.endsWith(base) : base === '' || host === base;
}

/** The base is an address and a mask behind it. */
function withinNetwork(base: Uint8Array, address: Uint8Array): boolean {
  const width = base.length / 2;
  return width === address.length && address.every((byte, at) => ((byte ^ base[at]!) & base[width + at]!) === 0);
}

/** The names of a certificate that constraints apply to: the subject, if any, and the alternative names. */
function namesOf({ subject, extensions }: Certificate): GeneralName[] {
  const directory = { form: NAME_FORM.DIRECTORY, idType: undefined, data: subject };
  return isEmptyDn(subject) ? [...extensions.subjectAltNames] : [directory, ...extensions.subjectAltNames];
}

/**
 * @returns what is wrong with the certificate's names, in words that end a sentence about it; undefined if nothing is
 */
export function constraintProblem(constraints: NameConstraints, certificate: Certificate): string | undefined {
  for (const { form, data, idType } of namesOf(certificate)) {
    const within = (base: GeneralName): boolean => WITHIN[form]?.(base.data, data) ?? false;
    const ofForm = (bases: readonly GeneralName[]): GeneralName[] => bases.filter((base) => base.form === form);
    const permitted = ofForm(constraints.permitted);
    const excluded = ofForm(constraints.excluded);
    const name = identityText({ idType: idType ?? (form === NAME_FORM.DIRECTORY ? 9 : 0), data });
    // A form we cannot compare is refused as soon as anything is said about it.
    if (excluded.some((base) => WITHIN[form] === undefined || within(base)))
      return `has the name "${name}", which is excluded`;
    if (permitted.length > 0 && !permitted.some(within)) return `has the name "${name}", which is not permitted`;
  }
  return undefined;
}
