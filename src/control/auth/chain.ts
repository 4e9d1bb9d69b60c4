/**
 * Path building and validation (RFC 5280 §6.1) from a peer's certificate up to a trust anchor of the
 * configuration. What the peer sends only helps to find a path; it is never trusted by itself, and
 * the work it can cause is bounded.
 */
import type { Signatures } from '../crypto/provider.ts';
import { equalBytes } from '../wire/bytes.ts';
import type { Certificate } from './certificate.ts';
import { type Crl, revocationProblem } from './crl.ts';
import { dnText } from './dn.ts';
import { KEY_USAGE } from './extensions.ts';
import { constraintProblem } from './name-constraints.ts';
import { algorithmOf, keyProblem, verify } from './signature.ts';
import { remember, signedBy } from './trusted.ts';

/** Certificates in a path, the peer's and the anchor included. */
const MAX_DEPTH = 8;
/** Signature checks for one path: cross-signed loops end here. */
const MAX_CHECKS = 32;

export interface Trust {
  readonly anchors: readonly Certificate[];
  readonly crls: readonly Crl[];
  /** Seconds since 1970. */
  readonly now: number;
  readonly signatures: Signatures;
}

/** The path from the peer's certificate to the anchor, or why there is none. */
export type PathResult = { readonly path: readonly Certificate[] } | { readonly problem: string };

interface Search {
  readonly trust: Trust;
  readonly intermediates: readonly Certificate[];
  checks: number;
  /** Of the path that came furthest. */
  problem: string;
  depth: number;
}

/**
 * @param leaf of the peer @param intermediates as the peer sent them
 * @returns a path that is valid in every respect, or the reason of the attempt that came furthest
 */
export function buildPath(leaf: Certificate, intermediates: readonly Certificate[], trust: Trust): PathResult {
  const issuer = dnText(leaf.issuer);
  const search: Search = {
    trust,
    intermediates,
    checks: 0,
    problem: `certificate "${leaf.text}" was issued by "${issuer}", which is not in remote.cacerts`,
    depth: 0,
  };
  const path = extend([leaf], search);
  if (path === undefined) return { problem: search.problem };
  remember(path);
  return { path };
}

/** Depth first: every certificate whose subject is the last one's issuer, anchors first. */
function extend(path: readonly Certificate[], search: Search): readonly Certificate[] | undefined {
  const last = path.at(-1)!;
  const isIssuer = (candidate: Certificate) => equalBytes(candidate.subject, last.issuer);
  const anchors = search.trust.anchors.filter(isIssuer);
  for (const anchor of anchors) {
    const problem = linkProblem(last, anchor, search) ?? pathProblem([...path, anchor], search.trust);
    if (problem === undefined) return [...path, anchor];
    note(search, path.length + 1, problem);
  }
  if (path.length >= MAX_DEPTH - 1) return undefined;
  for (const candidate of search.intermediates.filter(isIssuer)) {
    if (path.some((member) => equalBytes(member.spki, candidate.spki))) continue;
    const problem = linkProblem(last, candidate, search);
    const found = problem === undefined ? extend([...path, candidate], search) : undefined;
    if (found !== undefined) return found;
    const unknown = `certificate "${candidate.text}" was issued by "${dnText(candidate.issuer)}", which is not in remote.cacerts`;
    note(search, path.length, problem ?? unknown);
  }
  return undefined;
}

/** Keeps the reason of the longest attempt: it says most. */
function note(search: Search, depth: number, problem: string): void {
  if (depth <= search.depth) return;
  search.depth = depth;
  search.problem = problem;
}

/** @returns why `issuer` did not sign `subject`; undefined if it did */
function linkProblem(subject: Certificate, issuer: Certificate, search: Search): string | undefined {
  search.checks += 1;
  if (search.checks > MAX_CHECKS) return 'the certificates make too many paths';
  const algorithm = algorithmOf(subject.signatureAlgorithm);
  if (algorithm === undefined)
    return `certificate "${subject.text}" is signed with an algorithm we do not take, such as SHA-1`;
  const weakness = keyProblem(issuer.publicKey);
  if (weakness !== undefined) return `certificate "${issuer.text}" ${weakness}`;
  const { signatures } = search.trust;
  const isSigned = () => verify(signatures, algorithm, issuer.publicKey, subject.tbs, subject.signature);
  if (signedBy(subject, issuer, signatures, isSigned)) return undefined;
  return `certificate "${subject.text}" has a signature that "${issuer.text}" did not make`;
}

/** Everything but signatures, for a whole path, in words for the log. */
function pathProblem(path: readonly Certificate[], trust: Trust): string | undefined {
  for (const [index, certificate] of path.entries()) {
    const problem =
      ownProblem(certificate, trust.now) ??
      (index > 0 ? caProblem(certificate, path.slice(1, index)) : undefined) ??
      namesProblem(certificate, path.slice(index + 1), index === 0) ??
      (index < path.length - 1 ? revocationProblem(trust, certificate, path[index + 1]!) : undefined);
    if (problem !== undefined) return `certificate "${certificate.text}" ${problem}`;
  }
  return undefined;
}

/** @returns what is wrong with a certificate whatever its place in a path, in words that end a sentence about it */
export function ownProblem(
  { notBefore, notAfter, extensions, publicKey }: Certificate,
  now: number,
): string | undefined {
  const [unknown] = extensions.unknownCritical;
  if (now < notBefore) return `is not valid before ${date(notBefore)}`;
  if (now > notAfter) return `expired on ${date(notAfter)}`;
  if (unknown !== undefined) return `has the critical extension ${unknown}, which is not supported`;
  return keyProblem(publicKey);
}

const date = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** @param below the CA certificates between this one and the peer's */
function caProblem({ extensions }: Certificate, below: readonly Certificate[]): string | undefined {
  const { ca, pathLength, keyUsage } = extensions;
  if (!ca) return 'is not a CA (basicConstraints)';
  if (keyUsage !== undefined && !keyUsage.has(KEY_USAGE.keyCertSign)) return 'must not sign certificates (keyUsage)';
  // RFC 5280 §4.2.1.9: self-issued certificates do not count.
  const count = below.filter(({ subject, issuer }) => !equalBytes(subject, issuer)).length;
  if (pathLength !== undefined && count > pathLength) {
    return `allows ${pathLength} CA certificates below it, there are ${count} (pathLenConstraint)`;
  }
  return undefined;
}

/** @param above the CAs over the certificate, whose name constraints it must keep */
function namesProblem(certificate: Certificate, above: readonly Certificate[], leaf: boolean): string | undefined {
  // RFC 5280 §6.1.3 b: a self-issued certificate in the middle is exempt.
  if (!leaf && equalBytes(certificate.subject, certificate.issuer)) return undefined;
  for (const { extensions, text } of above) {
    const { nameConstraints } = extensions;
    const problem = nameConstraints === undefined ? undefined : constraintProblem(nameConstraints, certificate);
    if (problem !== undefined) return `${problem} by its CA "${text}"`;
  }
  return undefined;
}
