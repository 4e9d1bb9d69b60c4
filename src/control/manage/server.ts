/** Serves the control API (`api.ts`) on its Unix socket, and metrics over TCP where the configuration asks for it. */
import { chmodSync, mkdirSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type ListenOptions } from 'node:net';
import { dirname } from 'node:path';
import type { Endpoint } from '../../contract.ts';
import { EspalierError } from '../../errors.ts';
import { type Manageable, METRICS_TYPE, ROUTES, type Route } from './api.ts';

export interface ControlServerOptions {
  readonly gateway: Manageable;
  /** Path of the Unix socket. */
  readonly socket: string;
  readonly metrics?: Endpoint;
  /** Told of failures that are not the caller's. */
  readonly onError: (error: unknown) => void;
}

export class ControlServer {
  readonly #servers: Server[] = [];
  readonly #gateway: Manageable;
  readonly #onError: (error: unknown) => void;

  private constructor({ gateway, onError }: ControlServerOptions) {
    this.#gateway = gateway;
    this.#onError = onError;
  }

  /** @throws EspalierError `ERR_SOCKET`, `ERR_ALREADY_RUNNING` if another gateway answers there */
  static async start(options: ControlServerOptions): Promise<ControlServer> {
    const { socket, metrics } = options;
    const control = new ControlServer(options);
    try {
      await removeStale(socket);
      // The socket must at no time be open to others, so its mode is right from the start.
      const mask = process.umask(0o177);
      try {
        await control.#listen(ROUTES, { path: socket }, socket);
      } finally {
        process.umask(mask);
      }
      chmodSync(socket, 0o600);
      if (metrics) {
        const routes = ROUTES.filter(({ word }) => word === 'metrics');
        await control.#listen(
          routes,
          { host: metrics.address, port: metrics.port },
          `${metrics.address}:${metrics.port}`,
        );
      }
      return control;
    } catch (error) {
      await control.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.splice(0).map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  async #listen(routes: readonly Route[], where: ListenOptions, name: string): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(routes, request, response).catch(this.#onError);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(name, error)));
      server.listen(where, () => {
        server.removeAllListeners('error');
        server.on('error', this.#onError);
        resolve();
      });
    });
    this.#servers.push(server);
  }

  async #answer(routes: readonly Route[], request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    try {
      const { route, names } = find(routes, request);
      const answer = await route.answer(this.#gateway, ...names);
      if (typeof answer === 'string') send(response, 200, METRICS_TYPE, answer);
      else send(response, 200, 'application/json', JSON.stringify(answer ?? {}));
    } catch (error) {
      const { code, message } = error instanceof EspalierError ? error : internal(error);
      if (code === 'ERR_INTERNAL') this.#onError(error);
      send(response, STATUS[code] ?? 422, 'application/json', JSON.stringify({ code, message }));
    }
  }
}

/** Status codes of refusals; others are 422: understood, but not possible. */
const STATUS: Readonly<Record<string, number>> = { ERR_NO_ROUTE: 404, ERR_METHOD: 405, ERR_INTERNAL: 500 };

const internal = (error: unknown): { code: string; message: string } => ({
  code: 'ERR_INTERNAL',
  message: error instanceof Error ? error.message : String(error),
});

function find(routes: readonly Route[], { url = '/', method }: IncomingMessage): { route: Route; names: string[] } {
  const [, word = '', ...names] = url.replace(/\?.*$/s, '').split('/');
  const fitting = routes.filter((route) => route.word === word && route.names === names.length);
  const route = fitting.find((each) => each.method === method);
  if (route) return { route, names: names.map(decode) };
  if (fitting.length > 0) {
    throw new EspalierError(
      'ERR_METHOD',
      `${url} answers ${fitting.map((each) => each.method).join(', ')}, not ${method}`,
    );
  }
  throw new EspalierError('ERR_NO_ROUTE', `there is nothing at ${url}`);
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    throw new EspalierError('ERR_NO_ROUTE', 'the name is not percent-encoded as it should be');
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** A socket file stays behind when a process is killed. It may go if nobody answers on it. */
async function removeStale(path: string): Promise<void> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw cannotListen(path, error as NodeJS.ErrnoException);
  }
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (code === undefined) {
    throw new EspalierError(
      'ERR_ALREADY_RUNNING',
      `a gateway is already running on ${path}; stop it, or give this one another control.socket`,
    );
  }
  if (code === 'ECONNREFUSED') unlinkSync(path);
}

function cannotListen(name: string, error: NodeJS.ErrnoException): EspalierError {
  const why = error.code === 'EACCES' ? 'is not allowed for this user' : error.message;
  return new EspalierError('ERR_SOCKET', `listening on ${name}: ${why}; change control.socket or control.metrics`, {
    cause: error,
  });
}
