/** The taint machine over the build with plain SIMD. */
import { watch } from './watch.ts';

await watch('plain');
