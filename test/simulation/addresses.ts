/** Where the gateways of a schedule may be. */
import type { Schedule } from './schedule.ts';

/** The public side of the NAT that gateway 0 may be behind, as long as it is at home. */
export const NAT_ADDRESS = '203.0.113.1';

/** Is that gateway behind the NAT, when it is at home? */
export const isInside = ({ nat }: Pick<Schedule, 'nat'>, gateway: number): boolean => nat && gateway === 0;

/** Where a gateway is at first, and in the end. */
export const homeAddress = (schedule: Pick<Schedule, 'nat'>, gateway: number): string =>
  isInside(schedule, gateway) ? '10.0.0.2' : `192.0.2.${gateway + 1}`;

/** Where the others find it then. */
export const publicAddress = (schedule: Pick<Schedule, 'nat'>, gateway: number): string =>
  isInside(schedule, gateway) ? NAT_ADDRESS : homeAddress(schedule, gateway);

/** Where it is when it has moved: in public. */
export const awayAddress = (gateway: number): string => `198.51.100.${gateway + 1}`;

/** Does it ever move? */
export const isMobile = ({ events }: Pick<Schedule, 'events'>, gateway: number): boolean =>
  events.some((event) => event.kind === 'move' && event.gateway === gateway);
