/** What the machine reports: a place in the code whose time depends on a secret. */
export type Leak = 'address' | 'branch' | 'select' | 'division' | 'length';

export interface Finding {
  readonly leak: Leak;
  readonly function: string;
  /** Offset of the instruction in the module. */
  readonly at: number;
  /** How often it met a secret, and how often that was something other than 0. */
  times: number;
  nonzero: number;
}
