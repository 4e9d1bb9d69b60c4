/**
 * What to say, and to whom, when a child SA does not come about:
 *
 *   HDR, SK {… SA, Ni, [KEi,] TSi, TSr} -->
 *             <-- HDR, SK {N(NO_PROPOSAL_CHOSEN) | N(TS_UNACCEPTABLE) | N(SINGLE_PAIR_REQUIRED) | …}
 */
import type { ChildOffer } from '../../child/negotiation.ts';
import type { ChildConfig } from '../../config/model.ts';
import { formatProposal } from '../../proposals/keywords.ts';
import { NOTIFY } from '../../wire/iana.ts';
import { formatSelector } from '../../wire/payloads/ts.ts';
import type { Context } from '../context.ts';
import type { Failure } from '../failure.ts';
import type { IkeSa } from '../sa.ts';

/** @returns the one thing to change on either side */
export function childAdvice({ config, local, remote, proposals }: ChildOffer, notify: number): string {
  switch (notify) {
    case NOTIFY.TS_UNACCEPTABLE:
      return (
        `it has no child for ${local.map(formatSelector).join(' ')} === ${remote.map(formatSelector).join(' ')}; ` +
        `compare local_ts and remote_ts of "${config.name}" with those of the peer`
      );
    case NOTIFY.NO_PROPOSAL_CHOSEN: {
      const offered = proposals.map(({ protocol, transforms }) => formatProposal(protocol, transforms)).join(', ');
      return `it allows none of the proposals of "${config.name}" (${offered}); add one that it has`;
    }
    case NOTIFY.NO_ADDITIONAL_SAS:
      return 'it takes no further child SAs in this IKE SA';
    case NOTIFY.SINGLE_PAIR_REQUIRED:
      return `it wants one pair of addresses for each SA; narrow local_ts and remote_ts of "${config.name}"`;
    case NOTIFY.INTERNAL_ADDRESS_FAILURE:
    case NOTIFY.FAILED_CP_REQUIRED:
      return 'it insists on assigning an address, which a gateway does not ask for';
    default:
      return 'see the log of the peer for its reason';
  }
}

/** A child that we asked for is not there; the IKE SA stays. */
export function reportChildFailure(cx: Context, sa: IkeSa, { name }: ChildConfig, failure: Failure): void {
  const connection = sa.connection.name;
  cx.log('error', `child "${name}" failed: ${failure.message}`, connection);
  cx.event({ type: 'child-failed', connection, child: name, code: failure.code, reason: failure.message });
  cx.connections.childFailed(sa, name, failure);
}
