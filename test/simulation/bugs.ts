/**
 * Bugs to plant: each changes one method of the core from outside, for as long as it is planted. The
 * simulator has to catch every one of them; if it did not, its silence would prove nothing.
 */
import { PolicyTable } from '../../src/control/child/policies.ts';
import { ConnectionManager } from '../../src/control/ike/connections.ts';
import { IkeCore } from '../../src/control/ike/core.ts';
import type { Effect } from '../../src/control/ike/effects.ts';
import { ExchangeWindow } from '../../src/control/ike/exchange-window.ts';
import { ChildExchange } from '../../src/control/ike/tasks/child-exchange.ts';
import { ChildRekey } from '../../src/control/ike/tasks/child-rekey.ts';
import { DeleteChild, DeleteIke } from '../../src/control/ike/tasks/delete.ts';
import { IkeAuth } from '../../src/control/ike/tasks/ike-auth.ts';
import { Liveness } from '../../src/control/ike/tasks/liveness.ts';
import { UpdateAddresses } from '../../src/control/ike/tasks/mobike.ts';
import { NOTIFY } from '../../src/control/wire/iana.ts';
import { FORGOTTEN, RESTLESS } from './agreement.ts';

// Private members are meant to be out of reach; for a saboteur they are not.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any;
type Method = (this: Any, ...values: Any[]) => Any;

export interface PlantedBug {
  /** What the core does wrong. */
  readonly name: string;
  /** The rule that it breaks, sooner or later. */
  readonly rule: string;
  /** @returns what takes it out again */
  plant(): () => void;
}

function bug(
  name: string,
  rule: string,
  prototype: object,
  method: string,
  change: (original: Method) => Method,
): PlantedBug {
  return {
    name,
    rule,
    plant() {
      const methods = prototype as Record<string, Method>;
      const original = methods[method]!;
      methods[method] = change(original);
      return () => {
        methods[method] = original;
      };
    },
  };
}

/** Does not begin a deletion that has this reason. */
const forgetting =
  (reason: string) =>
  (original: Method): Method =>
    function (...values) {
      return this.reason === reason ? undefined : original.apply(this, values);
    };

const nothing = (): Method => () => undefined;

/** Changes what comes out of the core. */
const meddling =
  (change: (effects: readonly Effect[]) => readonly Effect[]) =>
  (original: Method): Method =>
    function (...values) {
      return change(original.apply(this, values));
    };

export const BUGS: readonly PlantedBug[] = [
  bug(
    'keeps the redundant child after both sides rekeyed at once',
    FORGOTTEN,
    DeleteChild.prototype,
    'build',
    forgetting('the peer rekeyed at the same time'),
  ),
  bug(
    'keeps the old child after it was rekeyed',
    FORGOTTEN,
    DeleteChild.prototype,
    'build',
    forgetting('it was rekeyed'),
  ),
  bug(
    'keeps the old IKE SA after it was rekeyed',
    RESTLESS,
    DeleteIke.prototype,
    'build',
    forgetting('it was rekeyed'),
  ),
  bug(
    'repeats its answer to any request with the same message ID',
    'an answer is repeated to a repeated request only',
    ExchangeWindow.prototype,
    'repeat',
    (original) =>
      function (messageId: number) {
        return original.call(this, messageId, this.answers.get(messageId)?.digest ?? '');
      },
  ),
  bug(
    'looks at a request that was answered long ago once more',
    'a message ID is used once',
    ExchangeWindow.prototype,
    'classify',
    (original) =>
      function (messageId: number) {
        const kind = original.call(this, messageId);
        return kind === 'stale' && messageId > 0 ? 'new' : kind;
      },
  ),
  bug(
    'uses a message ID twice',
    'a message ID is used once',
    ExchangeWindow.prototype,
    'send',
    (original) =>
      function (...values) {
        const record = original.apply(this, values);
        if (record.messageId === 5) this.nextId--;
        return record;
      },
  ),
  bug(
    'installs the child before the peer has proved who it is',
    'no key is used by an unauthenticated peer',
    IkeAuth.prototype,
    'process',
    (original) =>
      function (cx, sa, response) {
        const { connection, local, remote } = sa;
        const keys = { encryption: Uint8Array.from(sa.keys.d), integrity: new Uint8Array() };
        const name = connection.children[0].name;
        const spi = cx.environment.reserveSpi();
        const parameters = { direction: 'in', spi, local, remote, udpEncapsulation: false, keys, name };
        cx.push({ type: 'install-sa', key: cx.nextId(), parameters });
        return original.call(this, cx, sa, response);
      },
  ),
  bug(
    'takes the policy that the new child uses away with the old one',
    'traffic never leaves in the clear',
    PolicyTable.prototype,
    'release',
    (original) =>
      function (child) {
        for (const { users } of this.entriesOf(child)) if (users.includes(child)) users.splice(0, Infinity, child);
        original.call(this, child);
      },
  ),
  bug(
    'loses the trap with the SA that used its policy',
    'traffic never leaves in the clear',
    PolicyTable.prototype,
    'release',
    (original) =>
      function (child) {
        for (const { users, traps } of this.entries.values()) if (users.includes(child)) traps.length = 0;
        original.call(this, child);
      },
  ),
  bug(
    'traps what it would protect by another child that is there',
    'a packet does not wait while an SA for it is there',
    PolicyTable.prototype,
    'point',
    () =>
      function ({ key, users }) {
        const child = users.findLast(({ sending }: Any) => sending);
        this.out.push({ type: 'set-policy-sa', key, ...(child && { sa: child.keyOut }) });
      },
  ),
  bug(
    'drops what the peer had narrowed, in front of the trap that would bring it up again',
    'a trap brings up what a packet needs',
    PolicyTable.prototype,
    'isTrapped',
    () => () => false,
  ),
  bug(
    'keeps the second of two children that the peer has narrowed to the same',
    FORGOTTEN,
    DeleteChild.prototype,
    'build',
    forgetting('the peer gives no more than is up'),
  ),
  bug(
    'sets a trap as the configuration had it before',
    'a reload leaves no policy behind',
    ConnectionManager.prototype,
    'isConfigured',
    () => () => true,
  ),
  bug(
    'does not try again after TEMPORARY_FAILURE',
    FORGOTTEN,
    ChildRekey.prototype,
    'refused',
    (original) =>
      function (cx, sa, failure, notify) {
        if (notify !== NOTIFY.TEMPORARY_FAILURE) original.call(this, cx, sa, failure, notify);
      },
  ),
  bug(
    'takes the old inbound SA out while packets for it are on their way',
    'a rekeying loses no packet',
    IkeCore.prototype,
    'handle',
    // The inbound SA of a child has the key before that of the outbound one.
    meddling((effects) =>
      effects.flatMap((effect): Effect[] =>
        effect.type === 'remove-sa' && effect.direction === 'out'
          ? [effect, { type: 'remove-sa', key: effect.key - 1, direction: 'in' }]
          : [effect],
      ),
    ),
  ),
  bug(
    'never asks whether the peer is alive',
    'nothing is black-holed for longer than liveness takes',
    Liveness.prototype,
    'build',
    nothing,
  ),
  bug(
    'keeps the SPIs of children that did not come about',
    RESTLESS,
    ChildExchange.prototype,
    'release',
    () =>
      function (_cx, sa) {
        sa.creating.delete(this.config.name);
        this.asked = undefined;
      },
  ),
  bug(
    'does not tell the peer that it has moved',
    'nothing is black-holed for longer than liveness takes',
    UpdateAddresses.prototype,
    'build',
    nothing,
  ),
  bug(
    'moves the IKE SA without its children',
    'nothing is black-holed for longer than liveness takes',
    IkeCore.prototype,
    'handle',
    meddling((effects) => effects.filter(({ type }) => type !== 'move-sa')),
  ),
  bug(
    'answers commands twice',
    'a command is answered once',
    IkeCore.prototype,
    'handle',
    meddling((effects) =>
      effects.flatMap((effect): Effect[] => (effect.type === 'completed' ? [effect, effect] : [effect])),
    ),
  ),
];
