/** Asks a running gateway through its control API (`api.ts`). */
import { request } from 'node:http';
import { EspalierError } from '../../errors.ts';
import type { ReloadResult } from './api.ts';
import type { GatewayStatus } from './status.ts';

export class ControlClient {
  readonly socket: string;

  /** @param socket path of the gateway's Unix socket */
  constructor(socket: string) {
    this.socket = socket;
  }

  async status(): Promise<GatewayStatus> {
    return JSON.parse(await this.#ask('GET', '/status')) as GatewayStatus;
  }

  /** @returns Prometheus text */
  metrics(): Promise<string> {
    return this.#ask('GET', '/metrics');
  }

  /** Settles when the connection or child is up; rejects with the reason if it cannot be. */
  async up(name: string): Promise<void> {
    await this.#ask('POST', `/up/${encodeURIComponent(name)}`);
  }

  async down(name: string): Promise<void> {
    await this.#ask('POST', `/down/${encodeURIComponent(name)}`);
  }

  async rekey(name: string): Promise<void> {
    await this.#ask('POST', `/rekey/${encodeURIComponent(name)}`);
  }

  async reload(): Promise<ReloadResult> {
    return JSON.parse(await this.#ask('POST', '/reload')) as ReloadResult;
  }

  /** @param connection by default the gateway's backend is set */
  async setBackend(name: string, connection?: string): Promise<void> {
    const of = connection === undefined ? '' : `/${encodeURIComponent(connection)}`;
    await this.#ask('POST', `/backend/${encodeURIComponent(name)}${of}`);
  }

  async setShadow(name: string): Promise<void> {
    await this.#ask('POST', `/shadow/${encodeURIComponent(name)}`);
  }

  #ask(method: string, path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.socket, method, path, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          body += text;
        });
        response.on('error', (error) => reject(this.#failure(error)));
        response.on('end', () => (response.statusCode === 200 ? resolve(body) : reject(refusal(body))));
      });
      call.on('error', (error) => reject(this.#failure(error)));
      call.end();
    });
  }

  #failure(error: NodeJS.ErrnoException): EspalierError {
    if (error.code === 'EACCES') {
      return new EspalierError(
        'ERR_PERMISSION',
        `${this.socket} belongs to another user; ask as that user, e.g. with sudo`,
      );
    }
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
      return new EspalierError(
        'ERR_NOT_RUNNING',
        `no gateway answers on ${this.socket}; start one with "espalier run -c FILE", or name its socket with --socket`,
      );
    }
    return new EspalierError('ERR_NOT_RUNNING', `the gateway on ${this.socket} went away: ${error.message}`);
  }
}

function refusal(body: string): EspalierError {
  try {
    const { code, message } = JSON.parse(body) as { code: string; message: string };
    return new EspalierError(code, message);
  } catch {
    return new EspalierError('ERR_INTERNAL', 'the answer is not one of this control API');
  }
}
