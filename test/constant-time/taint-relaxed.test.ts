/** The taint machine over the build with relaxed SIMD. */
import { watch } from './watch.ts';

await watch('relaxed');
