/** A backend whose system lacks something. */
import { EspalierError } from '../../src/errors.ts';

export function createBackend(): never {
  throw new EspalierError('ERR_BACKEND_UNAVAILABLE', 'the accelerator is not on this system');
}
