/** Every cipher suite that an SA can have, out of the registry. */
import { type CipherSuite, ENCRYPTION, type EncryptionAlgorithm, INTEG, INTEGRITY } from '../../src/algorithms.ts';

const hmacs = INTEGRITY.filter(({ ivLength }) => ivLength === 0);

const keySizes = (algorithms: readonly EncryptionAlgorithm[], integ: number) =>
  algorithms.flatMap(({ id, keyBits }) => keyBits.map((bits) => ({ encr: id, keyBits: bits, integ })));

const combined = ENCRYPTION.filter(({ icvLength }) => icvLength > 0);
const separate = ENCRYPTION.filter(({ icvLength }) => icvLength === 0);

export const SUITES: readonly CipherSuite[] = [
  ...keySizes(combined, INTEG.NONE),
  ...hmacs.flatMap(({ id }) => keySizes(separate, id)),
  // AH
  ...INTEGRITY.map(({ id }) => ({ keyBits: 0, integ: id })),
];
