import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

const script = (name: string) => fileURLToPath(new URL(`../../scripts/${name}.mjs`, import.meta.url));

describe('generated source', () => {
  it.each([
    'generate-aes-tables',
    'generate-aes-rounds',
    'generate-aes-bits',
    'generate-chacha-rounds',
    'generate-ghash-sums',
  ])('is what %s prints', (name) => {
    // Fails with the script's own message and a status that is not 0.
    execFileSync(process.execPath, [script(name), '--check'], { stdio: 'pipe' });
  });
});
