/** `espalier explain-proposal`: what a proposal says on the wire, and what the RFCs think of it. */
import { EspalierError } from '../../errors.ts';
import type { ProposalConfig } from '../config/model.ts';
import { PROTOCOL, protocolName, TRANSFORM, transformTypeName } from '../wire/iana.ts';
import type { Transform } from '../wire/payloads/sa.ts';
import { discouraged, parseProposals } from './keywords.ts';
import { transformFacts, transformKeyword } from './vocabulary.ts';

export const EXPLAINED_PROTOCOLS = { ike: PROTOCOL.IKE, esp: PROTOCOL.ESP, ah: PROTOCOL.AH } as const;
export type ExplainedProtocol = keyof typeof EXPLAINED_PROTOCOLS;

/**
 * @param protocols which readings to try; by default all three
 * @returns several lines of text
 * @throws EspalierError `ERR_PROPOSAL` if it is a proposal of none of them
 */
export function explainProposal(text: string, protocols: readonly ExplainedProtocol[] = ['ike', 'esp', 'ah']): string {
  const sections: string[] = [];
  const refusals: string[] = [];
  for (const name of protocols) {
    try {
      const proposals = parseProposals(EXPLAINED_PROTOCOLS[name], [text]);
      sections.push(...proposals.map(describe));
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      refusals.push(`As ${name.toUpperCase()}: ${error.message}`);
    }
  }
  if (sections.length === 0) throw new EspalierError('ERR_PROPOSAL', refusals.join('\n'));
  return sections.join('\n\n');
}

function describe(proposal: ProposalConfig): string {
  const { text, protocol, transforms } = proposal;
  const sorted = [...transforms].sort((a, b) => a.type - b.type);
  const rows = sorted.map((transform) => describeTransform(protocol, transform));
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(
    (row) =>
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()}`,
  );
  return [`${protocolName(protocol)} proposal (protocol ${protocol}): ${text}`, ...lines, ...notes(proposal)].join(
    '\n',
  );
}

function describeTransform(protocol: number, transform: Transform): string[] {
  const facts = transformFacts(protocol, transform);
  return [
    `${transformTypeName(transform.type)} (type ${transform.type})`,
    `ID ${transform.id}`,
    `${facts?.name ?? '?'}${transform.keyBits === undefined ? '' : `, Key Length ${transform.keyBits}`}`,
    transformKeyword(protocol, transform),
    facts ? `${facts.status} (${facts.source})` : '',
  ];
}

function notes(proposal: ProposalConfig): string[] {
  const { protocol, transforms } = proposal;
  const has = (type: number) => transforms.some((transform) => transform.type === type);
  const lines: string[] = [];
  if (protocol !== PROTOCOL.IKE) {
    lines.push(
      has(TRANSFORM.KE)
        ? '  Rekeying does a key exchange of its own: perfect forward secrecy for each child SA.'
        : '  No key exchange: child SAs take their keys from the IKE SA; add e.g. x25519 for perfect forward secrecy.',
    );
  }
  if (has(TRANSFORM.ADDKE1)) {
    lines.push('  Hybrid: every key exchange adds to the keys, which hold as long as one of them does (RFC 9370).');
  }
  for (const { keyword, status } of discouraged(proposal)) {
    lines.push(`  ${keyword} is ${status}: use it only for a peer that has nothing better.`);
  }
  return lines;
}
