/** The taint machine over the wide build. */
import { watch } from './watch.ts';

await watch('wide');
