/** What the SPD says of the packet that `parseIp` saw last (RFC 4301 §5.1). */
import { classify, POLICY_UNKNOWN } from "../classifier";
import { isIcmpError, parseQuoted } from "../ip/icmp";
import { Ip, parseIp } from "../ip/packet";
import { HEADER_BASE, HEADER_SPD_OUT, POLICY_ACTION, POLICY_SA } from "../layout/records";
import { flowBit, isCurrent, lookUpPolicy } from "../spd";
import { Batch } from "./batch";

/** The policy, 0 for none or POLICY_UNKNOWN; what it says, and the address of its SA. */
export class Decision {
  static policy: usize = 0;
  static action: u32 = 0;
  static sa: usize = 0;
}

export function decide(arena: usize): void {
  let policy: usize;
  do {
    policy = lookUpPolicy(arena, false);
    if (policy == 0 && isIcmpError()) policy = policyOfQuoted();
    if (policy > POLICY_UNKNOWN) {
      Decision.action = load<u32>(policy, POLICY_ACTION);
      Decision.sa = atomic.load<u32>(policy, POLICY_SA);
    }
  } while (!isCurrent());
  Decision.policy = policy;
  Batch.flow = flowBit;
}

/**
 * An ICMP error may come from any router behind us. If no policy knows it, it goes the way of
 * answers to the packet it quotes, which came in (RFC 4301 §6.2).
 */
function policyOfQuoted(): usize {
  const spd: usize = load<u32>(HEADER_BASE + HEADER_SPD_OUT);
  const at = Ip.at;
  const length = Ip.length;
  const policy = spd != 0 && parseQuoted() ? classify(spd, true) : 0;
  parseIp(at, length);
  return policy;
}
