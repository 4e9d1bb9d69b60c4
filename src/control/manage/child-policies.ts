/** SPD entries that children made, beside those of the configuration. */
import type { PolicyHandle, RunningDataPlane } from '../../contract.ts';
import type { ConnectionConfig } from '../config/model.ts';
import { selectorText } from './manual-policies.ts';
import type { PolicyStatus } from './status.ts';

/**
 * Children with the same selectors share an entry, which bears the name of the one that made it. What comes in is
 * judged by the selectors of its SA, and counted there.
 * @param others are entries of the configuration
 */
export function childPolicies(
  plane: Pick<RunningDataPlane, 'policies' | 'policyCounters'>,
  connections: readonly ConnectionConfig[],
  others: ReadonlySet<PolicyHandle>,
): PolicyStatus[] {
  const owners = new Map(connections.flatMap(({ name, children }) => children.map((child) => [child.name, name])));
  return [...plane.policies()].flatMap(([handle, { name, direction, action, selector }]) => {
    if (others.has(handle)) return [];
    const connection = owners.get(name);
    return {
      name: connection === undefined ? name : `${connection}/${name}`,
      direction,
      action,
      selector: selectorText(selector),
      ...(plane.policyCounters(handle) ?? { packets: 0, bytes: 0 }),
    };
  });
}
