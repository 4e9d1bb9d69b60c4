/** The example's AES-GCM, which counts what it seals. */
import { createBackend as createExample } from '../../examples/backend-aes-gcm.js';

export function createBackend(kernel) {
  const backend = createExample(kernel);
  let sealed = 0;
  return {
    ...backend,
    seal(descriptors, count) {
      sealed += count;
      backend.seal(descriptors, count);
    },
    counters: () => ({ sealed }),
  };
}
