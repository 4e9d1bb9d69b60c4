/**
 * May the packet that came out of this SA go on? RFC 4301 §5.2 step 4, §6.2 and §7.
 *
 * The SA's selectors decide. An inbound DISCARD policy that matches blocks what they admit; other
 * inbound policies only count.
 */
import { countDrop } from "../arena";
import { POLICY_UNKNOWN } from "../classifier";
import { InFragment, XfrmInPolBlock, XfrmInStateMismatch } from "../drops";
import { trackFragment } from "../ip/fragment";
import { isDeliveryError, parseQuoted } from "../ip/icmp";
import { Ip, parseIp } from "../ip/packet";
import { IPPROTO_TCP } from "../ip/protocols";
import { POLICY_ACTION, POLICY_ACTION_DISCARD, SA_SELECTOR_COUNT, SA_SELECTORS } from "../layout/records";
import { matchesAny } from "../selector";
import { isCurrent, lookUpPolicy } from "../spd";

/** The policy that `admit` met last; 0 for none. */
export class Admission {
  static policy: usize = 0;
}

/** Judges the packet that `parseIp` saw last. @returns false if it was dropped, and counted */
export function admit(arena: usize, sa: usize): bool {
  if (Ip.fragment) trackFragment(arena, true);
  const reason = judge(arena, load<u32>(sa, SA_SELECTORS), load<u32>(sa, SA_SELECTOR_COUNT));
  if (reason == 0) return true;
  countDrop(arena, reason);
  return false;
}

/** @returns why the packet must not go on, or 0 */
function judge(arena: usize, selectors: usize, count: u32): u32 {
  // A second fragment at 8 would overwrite the flags of the first one's TCP header (RFC 1858 §4, RFC 4301 §7.2).
  if (Ip.fragmentOffset == 8 && Ip.protocol == IPPROTO_TCP) return InFragment;
  if (!matchesAny(selectors, count, true) && !isErrorAbout(selectors, count)) {
    return Ip.fragmentOffset != 0 ? InFragment : XfrmInStateMismatch;
  }
  let policy: usize;
  let discards = false;
  do {
    policy = lookUpPolicy(arena, true);
    if (policy > POLICY_UNKNOWN) discards = load<u32>(policy, POLICY_ACTION) == POLICY_ACTION_DISCARD;
  } while (!isCurrent());
  Admission.policy = policy > POLICY_UNKNOWN ? policy : 0;
  return policy > POLICY_UNKNOWN && discards ? XfrmInPolBlock : 0;
}

/**
 * An ICMP error comes from any router on the way; what counts is that the packet it quotes is one
 * that the SA's selectors would let out, and came from where the error goes (RFC 4301 §6.2).
 */
function isErrorAbout(selectors: usize, count: u32): bool {
  if (Ip.fragment || !isDeliveryError()) return false;
  const at = Ip.at;
  const length = Ip.length;
  const about = parseQuoted() && matchesAny(selectors, count, false);
  return parseIp(at, length) && about;
}
