/** The kernel's exports and nothing else. */
export { forgetKey, initialiseCrypto, keyStateLength, openBatch, sealBatch, setupKey } from "./crypto/suite";
export { initialiseArena } from "./arena";
export { outboundDummies, outboundFinish, outboundPrepare, outboundResume } from "./outbound/prepare";
export { insertPolicy, removePolicy } from "./classifier";
export { inboundArm } from "./inbound/initialise";
export { inboundPrepare } from "./inbound/prepare";
export { inboundFinish } from "./inbound/finish";
