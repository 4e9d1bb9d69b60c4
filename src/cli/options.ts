/** Options that several commands have. */
import { resolve } from 'node:path';
import { Option } from 'commander';
import { ControlClient } from '../control/manage/client.ts';

const DEFAULT_SOCKET = '/run/espalier.sock';

export interface SocketOptions {
  readonly socket: string;
}

export const configOption = (): Option =>
  new Option('-c, --config <file>', 'the configuration, YAML').makeOptionMandatory();

export const socketOption = (): Option =>
  new Option('-s, --socket <path>', "the running gateway's control.socket")
    .default(DEFAULT_SOCKET)
    .env('ESPALIER_SOCKET');

/** A backend's module is named from where the command is given; a running gateway has another folder. */
export const absolute = (name: string): string => (name.startsWith('.') ? resolve(name) : name);

export const client = ({ socket }: SocketOptions): ControlClient => new ControlClient(socket);
