import { Command, Option } from 'commander';
import { EXPLAINED_PROTOCOLS, type ExplainedProtocol, explainProposal } from '../../control/proposals/explain.ts';
import { examples } from '../help.ts';

export const explainCommand = (): Command =>
  new Command('explain-proposal')
    .description('Show what a proposal offers: IANA numbers, and what RFC 8221 and RFC 8247 say of each algorithm.')
    .argument('<proposal>', 'swanctl keywords, e.g. aes128gcm16-prfsha256-x25519, or default')
    .addOption(
      new Option('-p, --protocol <protocol>', 'read it as a proposal of this protocol only').choices(
        Object.keys(EXPLAINED_PROTOCOLS),
      ),
    )
    .addHelpText(
      'after',
      examples(
        ['espalier explain-proposal aes128gcm16-prfsha256-x25519', 'an IKE proposal'],
        ['espalier explain-proposal chacha20poly1305-prfsha512-x25519-ke1_mlkem768', 'hybrid with ML-KEM-768'],
        ['espalier explain-proposal --protocol esp default', 'what ESP offers by default'],
      ),
    )
    .action((proposal: string, { protocol }: { protocol?: ExplainedProtocol }) => {
      process.stdout.write(`${explainProposal(proposal, protocol && [protocol])}\n`);
    });
