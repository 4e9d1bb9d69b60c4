/** A rule of IKE's that a run broke. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** Which rule: the same one is looked for when a schedule is made smaller. */
  readonly rule: string;
  readonly details: string;

  constructor(rule: string, details: string) {
    super(`${rule}: ${details}`);
    this.rule = rule;
    this.details = details;
  }
}
