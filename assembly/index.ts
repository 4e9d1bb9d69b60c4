/** The kernel's exports and nothing else. */
export { initialiseCrypto, keyStateLength, openBatch, sealBatch, setupKey } from "./crypto/suite";
export { initialiseArena } from "./arena";
