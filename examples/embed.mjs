// A gateway inside a program of your own: node examples/embed.mjs (as root, after "npm run build").
// In a project that depends on Espalier, the import is all that is needed.
import { Gateway } from 'espalier';

const gateway = await Gateway.start({
  control: { socket: '/run/embedded.sock', log_level: 'warn' },
  connections: {
    branch: {
      remote_addrs: '192.0.2.2',
      local: { id: 'a.example.org', secret: process.env.PSK ?? 'a secret for this example only' },
      remote: { id: 'b.example.org' },
      children: {
        lan: { local_ts: '10.1.0.0/16', remote_ts: '10.2.0.0/16', esp_proposals: 'chacha20poly1305' },
      },
    },
  },
});

gateway.on('event', (event) => console.log(event.type, event));

try {
  await gateway.up('branch');
} catch (error) {
  // Errors say what the peer offered, what is allowed here and what to change.
  console.error(error.code, error.message);
}

for (const { connection, state, children } of gateway.status().ikeSas) {
  console.log(
    connection,
    state,
    children.map(({ name, in: received }) => `${name}: ${received?.bytes} bytes`),
  );
}

process.once('SIGINT', () => gateway.stop());
