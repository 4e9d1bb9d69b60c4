/** What timers, commands and events begin: the operations of `tasks/`, each with what must be true first. */
import type { Endpoint } from '../../contract.ts';
import { isCurrent } from '../child/child-sa.ts';
import type { ConnectionConfig } from '../config/model.ts';
import { EXCHANGE } from '../wire/iana.ts';
import { peerAddress } from './choose.ts';
import type { Context, Operations } from './context.ts';
import { enqueue, pump } from './exchange.ts';
import { because, destroy } from './lifecycle.ts';
import { handOver, twinOf } from './reauthentication.ts';
import { IkeSa } from './sa.ts';
import { isInstalled, isUsable } from './states.ts';
import { requestChild } from './tasks/child-create.ts';
import { ChildRekey } from './tasks/child-rekey.ts';
import { DeleteChild, DeleteIke } from './tasks/delete.ts';
import { IkeInit } from './tasks/ike-init.ts';
import { IkeRekey } from './tasks/ike-rekey.ts';
import { Liveness } from './tasks/liveness.ts';
import { updateAddresses } from './tasks/mobike.ts';

export function operations(cx: Context): Operations {
  return {
    initiate(connection, wanted, reauthenticates) {
      const path = pathOf(cx, connection);
      if (path === undefined) return undefined;
      const spis = { spiI: cx.newSpi(), spiR: 0n };
      const sa = new IkeSa(cx.nextId(), true, spis, connection, path, cx.limits.windowSize);
      sa.wanted.push(...wanted);
      sa.wantedAtFirst = wanted;
      sa.reauthenticates = reauthenticates;
      cx.table.add(sa);
      cx.table.file(sa);
      cx.log('info', `initiating to ${path.remote.address}`, connection.name);
      enqueue(cx, sa, new IkeInit());
      return sa;
    },

    createChild(sa, wanted) {
      if (isUsable(sa.state)) requestChild(cx, sa, wanted);
    },

    rekeyChild(sa, child) {
      if (child.state === 'INSTALLED' && child.replacedBy === undefined) enqueue(cx, sa, new ChildRekey(child));
    },

    deleteChild(sa, child, cause, reason) {
      if (isInstalled(child.state)) enqueue(cx, sa, new DeleteChild(child, cause, reason));
    },

    rekeyIke(sa) {
      if (sa.state === 'ESTABLISHED' && sa.replacedBy === undefined) enqueue(cx, sa, new IkeRekey());
    },

    reauthenticate(sa) {
      const isUnderWay = cx.table
        .ofConnection(sa.connection.name)
        .some((other) => other.reauthenticates === sa && other.state !== 'DESTROYING');
      if (!isUsable(sa.state) || isUnderWay) return;
      const twin = twinOf(cx, sa);
      if (twin !== undefined) {
        handOver(cx, sa, twin, `IKE SA ${twin.id} has all that it has`);
        return;
      }
      // By name: a configuration that is read again is another object for each child made since.
      const live = [...sa.children.values()].filter(isCurrent);
      const configs = new Map(live.map(({ config }) => [config.name, config]));
      const wanted = [...configs.values()].map((config) => ({ config, packet: undefined }));
      cx.log('info', `IKE SA ${sa.id} is reauthenticated`, sa.connection.name);
      this.initiate(sa.connection, wanted, sa);
    },

    deleteIke(sa, cause, reason) {
      if (sa.state === 'DELETING' && sa.deletion?.cause === 'expired') {
        // Not only too old: there is to be no heir either.
        sa.deletion = { cause, reason };
        return;
      }
      if (sa.state === 'DELETING' || sa.state === 'DESTROYING') return;
      if (sa.establishedAt === 0 && awaitsAuthentication(sa)) {
        // The peer may believe by now that it is established: it is told as soon as that is certain.
        sa.deletion = { cause, reason };
        sa.wanted.length = 0;
        return;
      }
      if (sa.establishedAt === 0) {
        destroy(cx, sa, cause, because('ERR_DELETED', reason));
        return;
      }
      sa.state = 'DELETING';
      sa.deletion = { cause, reason };
      // A rekeying that is under way may still give it an heir, where all that is wrong with it is its age.
      if (cause !== 'expired') for (const task of sa.queue.splice(0)) task.abandon?.(cx, sa, reason);
      sa.queue.unshift(new DeleteIke(cause, reason));
      pump(cx, sa);
    },

    checkLiveness(sa) {
      if (isUsable(sa.state)) enqueue(cx, sa, new Liveness());
    },

    updateAddresses: (sa, addresses, before) => updateAddresses(cx, sa, addresses, before),
  };
}

const awaitsAuthentication = ({ window }: IkeSa): boolean =>
  [...window.outstanding.values()].some(({ exchange }) => exchange === EXCHANGE.IKE_AUTH);

/** @returns from where to where a connection is called */
function pathOf(cx: Context, connection: ConnectionConfig): { local: Endpoint; remote: Endpoint } | undefined {
  const remote = peerAddress(connection);
  const local = cx.localAddress(connection, remote);
  if (remote === undefined || local === undefined) {
    cx.log('error', 'remote_addrs has no plain address to call, or this host has none to call from', connection.name);
    return undefined;
  }
  return {
    local: { address: local, port: connection.localPort },
    remote: { address: remote, port: connection.remotePort },
  };
}
