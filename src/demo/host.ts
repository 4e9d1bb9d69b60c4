/**
 * One task of a host, as a process in the host's namespace; the result is one line of JSON.
 *
 *     node host.js ping ADDRESS COUNT BYTES INTERVAL_MS
 *     node host.js tcp-receive ADDRESS PORT [hash]
 *     node host.js tcp-send ADDRESS PORT SECONDS|BYTESb
 *     node host.js udp-receive ADDRESS PORT IDLE_MS
 *     node host.js udp-send ADDRESS PORT COUNT BYTES PER_SECOND [FLOWS]
 */
import { runTask } from './tasks.ts';

process.stdout.write(`${JSON.stringify(await runTask(process.argv.slice(2)))}\n`);
