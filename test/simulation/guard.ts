/** Which children's traffic must not leave unprotected at one gateway, whatever becomes of their SAs. */
import type { Input } from '../../src/control/ike/effects.ts';
import type { EffectOf } from './data-plane.ts';
import type { Gateway } from './gateway.ts';
import { COMES_BACK, childName, connectionName, type Schedule, type Side, sideOf } from './schedule.ts';
import { Violation } from './violation.ts';

interface Rule {
  /** `start_action: trap`: from the start, whatever the user does. */
  readonly trapped: boolean;
  /** `start_action: start`: until the user takes it down. */
  started: boolean;
  /** Whatever takes it down but the user, something is to follow. */
  readonly comesBack: boolean;
  /** It had a policy since the user last wanted it. */
  covered: boolean;
  /** The user took it down: what was under way may come up once more, but is to go. */
  released: boolean;
}

export class Guard {
  private readonly rules = new Map<string, Rule>();
  private readonly names = new Map<number, string>();
  private readonly schedule: Schedule;
  private readonly gateway: Gateway;
  /** Of the configuration that the rules are from. */
  private variant = 0;

  constructor(schedule: Schedule, gateway: Gateway) {
    this.schedule = schedule;
    this.gateway = gateway;
  }

  stepping(input: Input): void {
    // What there was may go after a reload, and everything begins anew, without a moment between.
    if (input.type === 'start' || (input.type === 'reload' && this.gateway.variant !== this.variant)) this.begin();
    if (input.type === 'stop') this.rules.clear();
  }

  private begin(): void {
    this.rules.clear();
    this.variant = this.gateway.variant;
    for (const link of this.schedule.links) {
      const { left, right, children } = link;
      const { index: own, variant } = this.gateway;
      if (left !== own && right !== own) continue;
      const side = sideOf(link, own, variant);
      for (let index = 0; index < children; index++) this.rules.set(childName(link, index), ruleOf(side));
    }
  }

  /** @param name of a child or of its connection */
  initiated(name: string): void {
    for (const [child, rule] of this.rules) if (child.startsWith(name)) rule.released = false;
  }

  /** @param name of a child or of its connection */
  terminated(name: string): void {
    for (const link of this.schedule.links) {
      for (let index = 0; index < link.children; index++) {
        const child = childName(link, index);
        const rule = this.rules.get(child);
        if (rule === undefined || (child !== name && connectionName(link) !== name)) continue;
        rule.started = false;
        rule.covered = false;
        rule.released = true;
      }
    }
  }

  performed(effect: EffectOf<'install-policy'> | EffectOf<'remove-policy'>): void {
    if (effect.type === 'install-policy') {
      const { name } = effect.parameters;
      this.names.set(effect.key, name);
      const rule = this.rules.get(name);
      if (rule !== undefined && !rule.released) rule.covered = true;
      return;
    }
    const name = this.names.get(effect.key)!;
    if (this.gateway.dataPlane.policyOf(name) === undefined) this.leaks(name);
  }

  /** A packet of that child would leave as it is. */
  leaks(child: string): void {
    const rule = this.rules.get(child);
    if (rule === undefined) return;
    if (rule.trapped || (rule.covered && (rule.started || rule.comesBack)))
      throw new Violation('traffic never leaves in the clear', `${this.gateway.name} has no policy for ${child}`);
  }

  /** Children that the configuration wants up. */
  kept(): readonly string[] {
    return [...this.rules].filter(([, { started }]) => started).map(([child]) => child);
  }
}

const ruleOf = ({ startAction, closeAction, dpdAction }: Side): Rule => ({
  trapped: startAction.includes('trap'),
  started: startAction.includes('start'),
  comesBack: COMES_BACK.includes(closeAction) && COMES_BACK.includes(dpdAction),
  covered: false,
  released: false,
});
