import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = dirname(createRequire(import.meta.url).resolve('espalier/package.json'));

/** @returns the absolute path of a file of this package, the same from `src/` and from `dist/` */
export const packagePath = (...parts: string[]): string => join(root, ...parts);
