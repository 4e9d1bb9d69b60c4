/**
 * Certificates, keys and revocation lists that were read again. That is no reason to begin a connection anew: whoever
 * authenticates next uses what is there now, and only a peer that would not be let in any more has to go.
 */
import { withdrawal } from '../auth/certificate-auth.ts';
import { sameCredentials } from '../config/compare.ts';
import type { ConnectionConfig } from '../config/model.ts';
import type { Context } from './context.ts';

type Sides = Pick<ConnectionConfig, 'local' | 'remote'>;

export class Credentials {
  private readonly renewed = new WeakMap<ConnectionConfig, Sides>();

  /** @returns how both sides prove who they are, as the configuration has it by now */
  of(connection: ConnectionConfig): Sides {
    return this.renewed.get(connection) ?? connection;
  }

  /**
   * @param connection that stays as it is @param now the same, as it was read again
   * @returns whether anything is new
   */
  renew(connection: ConnectionConfig, now: ConnectionConfig): boolean {
    if (sameCredentials(this.of(connection), now)) return false;
    this.renewed.set(connection, { local: now.local, remote: now.remote });
    return true;
  }
}

/** Takes over what was read again for a connection that stays. */
export function renewCredentials(cx: Context, connection: ConnectionConfig, now: ConnectionConfig): void {
  if (!cx.credentials.renew(connection, now)) return;
  cx.log('info', 'has new certificates, keys or revocation lists; they hold from the next authentication', now.name);
  for (const sa of cx.table.ofConnection(connection.name)) {
    if (sa.connection !== connection || sa.state === 'DESTROYING' || sa.peerPath === undefined) continue;
    const problem = withdrawal(now.remote, sa.peerPath, cx.crypto.signatures);
    if (problem !== undefined) cx.operations.deleteIke(sa, 'failed', `the peer is trusted no more: ${problem}`);
  }
}
