/** What is wanted of a connection, beside what there is of it: children to keep up, and users who wait. */
import type { Context } from './context.ts';
import type { Timer } from './timers.ts';

/** A user's command that waits for children, or for the IKE SA alone. */
interface Waiting {
  readonly request: number;
  readonly children: Set<string>;
}

export interface Intent {
  /** Tries in a row that failed. */
  tries: number;
  retry: Timer | undefined;
  /** Children to bring up again whatever happens, until the user takes them down. */
  readonly keep: Set<string>;
  /** Of those, what has a trap only so that nothing leaves in the clear while it is not up. */
  readonly held: Set<string>;
  /** Children that the user took down, until they are up again. */
  readonly released: Set<string>;
  /** Children that are up, but not for packets to an address: when another may be asked for, and how long then not. */
  readonly beside: Map<string, { readonly at: number; readonly pause: number }>;
  readonly waiting: Waiting[];
}

export const newIntent = (): Intent => ({
  tries: 0,
  retry: undefined,
  keep: new Set(),
  held: new Set(),
  released: new Set(),
  beside: new Map(),
  waiting: [],
});

/** Another child beside those that are up is asked for so often in vain, and for so many addresses. */
const FIRST_BESIDE = 30_000;
const LONGEST_BESIDE = 3_600_000;
const MOST_BESIDE = 256;

/**
 * The peer may have nothing else to give: it is asked less and less often.
 * @param what is wanted: the child's name and where a packet goes
 */
export function mayAskBeside({ now }: Context, { beside }: Intent, what: string): boolean {
  const { at, pause } = beside.get(what) ?? { at: 0, pause: FIRST_BESIDE };
  if (now < at) return false;
  beside.delete(what);
  beside.set(what, { at: now + pause, pause: Math.min(2 * pause, LONGEST_BESIDE) });
  const [oldest] = beside.keys();
  if (beside.size > MOST_BESIDE) beside.delete(oldest!);
  return true;
}

/** Names of children that are to be up, or that somebody waits for. */
export const awaitedOf = ({ keep, waiting }: Intent): Set<string> =>
  new Set([...keep, ...waiting.flatMap(({ children }) => [...children])]);

/** A child is up. */
export function arrived({ waiting }: Intent, child: string): void {
  for (const { children } of waiting) children.delete(child);
}

/** Tells those whose wait is over. */
export function settle(cx: Context, { waiting }: Intent): void {
  for (const done of waiting.filter(({ children }) => children.size === 0)) {
    waiting.splice(waiting.indexOf(done), 1);
    cx.push({ type: 'completed', request: done.request });
  }
}

/** @param child whose failure it is; undefined for the whole connection's */
export function fail(
  cx: Context,
  intent: Intent | undefined,
  child: string | undefined,
  code: string,
  message: string,
): void {
  const waiting = intent?.waiting ?? [];
  for (const failed of waiting.filter(({ children }) => child === undefined || children.has(child))) {
    waiting.splice(waiting.indexOf(failed), 1);
    cx.push({ type: 'completed', request: failed.request, error: { code, message } });
  }
}
