/** What congestion marks on the outer header do to the inner one: RFC 6040 §4.2, Figure 4. */
import { adjustChecksum } from "../ip/checksum";

const NOT_ECT: u32 = 0;
const ECT_1: u32 = 1;
const ECT_0: u32 = 2;
const CE: u32 = 3;

/**
 * Brings the mark of the outer header (its TOS or traffic class) into the packet at `ip`.
 * @returns false if the packet must be dropped: its sender could not hear of the congestion
 */
export function decapsulateEcn(ip: usize, outerTos: u32): bool {
  const outer = outerTos & 3;
  if (outer == NOT_ECT || outer == ECT_0) return true;
  const version6 = load<u8>(ip) >> 4 == 6;
  const inner = version6 ? (load<u8>(ip, 1) >> 4) & 3 : load<u8>(ip, 1) & 3;
  if (outer == CE) {
    if (inner == NOT_ECT) return false;
  } else if (inner != ECT_0) return true;
  setEcn(ip, version6, outer == CE ? CE : ECT_1);
  return true;
}

function setEcn(ip: usize, version6: bool, ecn: u32): void {
  if (version6) {
    store<u8>(ip, (load<u8>(ip, 1) & 0xcf) | (ecn << 4), 1);
    return;
  }
  const before = load<u16>(ip);
  store<u8>(ip, (load<u8>(ip, 1) & 0xfc) | ecn, 1);
  store<u16>(ip, adjustChecksum(load<u16>(ip, 10), before, load<u16>(ip)), 10);
}
