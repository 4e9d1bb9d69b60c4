/** The protocol core: `handle(input, now) → effects`. */
import type { Config } from '../config/model.ts';
import type { IkeSaStatus, TrappedChildStatus } from '../manage/status.ts';
import type { Effect, Environment, Input } from './effects.ts';

export interface IkeCoreOptions {
  readonly config: Config;
  readonly environment: Environment;
  /** Emit `keys` effects. */
  readonly exportKeys?: boolean;
}

export class IkeCore {
  protected readonly options: IkeCoreOptions;

  constructor(options: IkeCoreOptions) {
    this.options = options;
  }

  /** @param now milliseconds since the epoch; must not go back */
  handle(input: Input, _now: number): readonly Effect[] {
    return 'request' in input ? [{ type: 'completed', request: input.request }] : [];
  }

  status(_now: number): IkeSaStatus[] {
    return [];
  }

  trapped(): TrappedChildStatus[] {
    return [];
  }
}
