/** May the packet that came out of this SA go on? RFC 4301 §5.2 step 4. */
import { countDrop } from "../arena";
import { InFragment, XfrmInStateMismatch } from "../drops";
import { Ip } from "../ip/packet";
import { SA_SELECTOR_COUNT, SA_SELECTORS } from "../layout/records";
import { matchesAny } from "../selector";

/** Judges the packet that `parseIp` saw last. @returns false if it was dropped, and counted */
export function admit(arena: usize, sa: usize): bool {
  if (matchesAny(load<u32>(sa, SA_SELECTORS), load<u32>(sa, SA_SELECTOR_COUNT), true)) return true;
  countDrop(arena, Ip.fragmentOffset != 0 ? InFragment : XfrmInStateMismatch);
  return false;
}
