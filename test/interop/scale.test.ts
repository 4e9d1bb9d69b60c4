/** Ten thousand SAs and policies in two gateways that carry traffic, through devices and sockets. */
import { expect, it } from 'vitest';
import { measureBed, PATTERNS, PEERS } from '../../bench/scale/bed.ts';

it('ten thousand SAs carry packets for ten thousand addresses without loss, while thousands are installed', async () => {
  const figures = await measureBed({ count: PEERS, backend: 'wasm', seconds: 0.5 });
  for (const pattern of PATTERNS) {
    const { mbps, loss, installsPerSecond } = figures[pattern];
    expect(mbps, pattern).toBeGreaterThan(0);
    expect(loss, pattern).toBe(0);
    // Five thousand is what an idle machine must reach; this one may have other things to do.
    expect(installsPerSecond, pattern).toBeGreaterThan(1000);
  }
});
