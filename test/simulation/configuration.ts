/** The configuration of each gateway of a schedule. */
import { configFromObject } from '../../src/control/config/load.ts';
import type { Config, ConnectionConfig } from '../../src/control/config/model.ts';
import type { ConfigInput } from '../../src/control/config/schema.ts';
import { awayAddress, homeAddress, isMobile, publicAddress } from './addresses.ts';
import { childName, connectionName, type Link, RETRANSMISSION, type Schedule, sideOf } from './schedule.ts';

/** Retransmission and so on, quicker than by default, so that a schedule sees the end of it. */
const CONTROL = {
  retransmit_timeout: RETRANSMISSION.timeout,
  retransmit_base: RETRANSMISSION.base,
  retransmit_tries: RETRANSMISSION.tries,
};

const network = (gateway: number, child: number): string => `10.${gateway + 1}.${child}.0/24`;
/** All of a gateway's networks, and addresses that are in none. */
const wide = (gateway: number): string => `10.${gateway + 1}.0.0/16`;

/** @returns a host of the child's network at that gateway; `stray` is in none, but among what is asked for */
export const host = (gateway: number, child: string, stray = false): string =>
  `10.${gateway + 1}.${stray ? 200 : child.endsWith('a') ? 0 : 1}.1`;

type Connection = NonNullable<NonNullable<ConfigInput['connections']>[string]>;

/** What of a connection has to be resolved by the configuration's own code. */
function connection(schedule: Schedule, link: Link, gateway: number): Connection {
  const isLeft = link.left === gateway;
  const peer = isLeft ? link.right : link.left;
  const keys = `${link.groups[isLeft ? 0 : 1]}${link.hybrid ? '-ke1_mlkem768' : ''}`;
  const secret = link.estranged ? `the secret of ${gateway}` : 'the secret of both';
  const names = Array.from({ length: link.children }, (_, index) => childName(link, index));
  const child = (index: number) => ({
    local_ts: [network(gateway, index)],
    remote_ts: [link.narrowed && isLeft ? wide(peer) : network(peer, index)],
    esp_proposals: [`aes128gcm16${link.pfs ? `-${keys}` : ''}`],
  });
  return {
    local_addrs: isMobile(schedule, gateway) ? [] : [homeAddress(schedule, gateway)],
    remote_addrs: [publicAddress(schedule, peer), ...(isMobile(schedule, peer) ? [awayAddress(peer)] : [])],
    proposals: [`aes128gcm16-prfsha256-${keys}`],
    local: { auth: 'psk', id: `g${gateway}.example`, secret },
    remote: { auth: 'psk', id: `g${peer}.example`, secret },
    children: Object.fromEntries(names.map((name, index) => [name, child(index)])),
  };
}

/** An SA lives a tenth longer than until it is to be rekeyed, as by default; when, is spread over a quarter of that. */
const lifetimeOf = (rekeyTime: number) => ({ rekeyTime, randTime: Math.floor(rekeyTime / 4) });

/** Every other time, other policies for the same selectors, in front of the old ones or behind them. */
const PRIORITIES = [1000, 900, 1100] as const;
export const priorityOf = ({ seed }: Schedule, variant: number): number =>
  PRIORITIES[((variant + (seed % 2)) >> 1) % PRIORITIES.length]!;

/**
 * What is as plain in the model as it is in the configuration.
 * @param variant changes what needs no agreement with the peer, as a reload does: every other time the policies, too
 */
function settle(
  resolved: ConnectionConfig,
  schedule: Schedule,
  link: Link,
  gateway: number,
  variant: number,
): ConnectionConfig {
  const side = sideOf(link, gateway, variant);
  const { startAction, closeAction, dpdAction, dpdDelay, keyingtries, unique, encap } = side;
  const { childRekey, ikeRekey, reauth: reauthTime } = side;
  const { mobike, childless } = link;
  const replayWindow = 64 + 32 * variant;
  const own = {
    ...lifetimeOf(childRekey),
    lifeTime: Math.round(childRekey * 1.1),
    startAction,
    closeAction,
    dpdAction,
  };
  const priority = priorityOf(schedule, variant);
  const children = resolved.children.map((child) => ({ ...child, ...own, replayWindow, priority }));
  const times = { ...lifetimeOf(ikeRekey), overTime: Math.round((ikeRekey || reauthTime) * 0.1), reauthTime };
  return { ...resolved, ...times, children, mobike, childless, encap, dpdDelay, keyingtries, unique };
}

/** Schedules share all that has to be resolved: there are some thousand ways to have it. */
const resolved = new Map<string, Config>();

function resolve(schedule: Schedule, link: Link, gateway: number): Config {
  const { left, right, children, narrowed, pfs, groups, hybrid, estranged } = link;
  const { nat, window, cookieThreshold } = schedule;
  const isMoving = [left, right].map((end) => isMobile(schedule, end));
  const ofLink = [left, right, gateway, children, narrowed, pfs, groups, hybrid, estranged];
  const key = [...ofLink, nat, window, cookieThreshold, ...isMoving].join(' ');
  const known = resolved.get(key);
  if (known !== undefined) return known;
  const { config } = configFromObject({
    // Its other addresses, which it tells its peers of (RFC 4555 §3.4).
    ...(isMobile(schedule, gateway) && {
      gateway: { listen: [homeAddress(schedule, gateway), awayAddress(gateway)] },
    }),
    control: { ...CONTROL, window_size: window, cookie_threshold: cookieThreshold },
    connections: { [connectionName(link)]: connection(schedule, link, gateway) },
  });
  resolved.set(key, config);
  return config;
}

export function configOf(schedule: Schedule, gateway: number, variant: number): Config {
  const links = schedule.links.filter(({ left, right }) => left === gateway || right === gateway);
  const configs = links.map((link) => resolve(schedule, link, gateway));
  const connections = links.map((link, index) =>
    settle(configs[index]!.connections[0]!, schedule, link, gateway, variant),
  );
  return { ...configs[0]!, connections };
}
