/** One child SA: a pair of SAs of ESP or AH with the traffic selectors they protect (RFC 7296 §2.9). */
import type { CipherSuite } from '../../algorithms.ts';
import type { IpsecMode, IpsecProtocol } from '../../contract.ts';
import type { ChildConfig } from '../config/model.ts';
import type { SaKey } from '../ike/effects.ts';
import type { IkeSa } from '../ike/sa.ts';
import { SmallMap } from '../ike/small-map.ts';
import { isLive } from '../ike/states.ts';
import type { Timer } from '../ike/timers.ts';
import type { ChildSaState } from '../manage/status.ts';
import { NO_BYTES } from '../wire/bytes.ts';
import { PROTOCOL } from '../wire/iana.ts';
import type { Selector } from '../wire/payloads/ts.ts';

/** Everything that was negotiated. */
export interface ChildAgreement {
  readonly protocol: IpsecProtocol;
  readonly mode: IpsecMode;
  readonly suite: CipherSuite;
  readonly esn: boolean;
  /** SPI that the peer sends to us with, and the one we send with. */
  readonly spiIn: number;
  readonly spiOut: number;
  readonly local: readonly Selector[];
  readonly remote: readonly Selector[];
  /** Key exchange method of its creation; 0 if there was none. */
  readonly ke: number;
}

/** Who made a child, and with which nonce. */
export type Origin = Pick<ChildSa, 'madeByUs' | 'lowestNonce'>;

export class ChildSa {
  readonly id: number;
  /** The IKE SA it belongs to; a rekey of that one moves it. */
  owner: IkeSa;
  readonly config: ChildConfig;
  readonly agreement: ChildAgreement;
  readonly keyIn: SaKey;
  readonly keyOut: SaKey;
  state: ChildSaState = 'INSTALLING';
  /** Was it put to use: may the policies point to its outbound SA? A rekey's responder waits with that. */
  sending = false;
  readonly installedAt: number;
  rekeyAt: number | undefined;
  expireAt: number | undefined;
  /** Did we begin the exchange that made it? */
  readonly madeByUs: boolean;
  /** The lower nonce of the exchange that made it: decides between two rekeyings at once (RFC 7296 §2.8.1). */
  lowestNonce: Uint8Array = NO_BYTES;
  /** The same of the first one that it has come from by rekeying: decides between two that both sides made at once. */
  origin: Origin;
  /** The child that took over in a rekey. */
  replacedBy: ChildSa | undefined;
  /** Both sides made it, or rekeyed the same child, and this is the one that goes (RFC 7296 §2.8.1). */
  isRedundant = false;
  /** By purpose; all are cancelled with the SA. */
  readonly timers = new SmallMap<string, Timer>();

  constructor(
    id: number,
    owner: IkeSa,
    config: ChildConfig,
    agreement: ChildAgreement,
    keys: { readonly in: SaKey; readonly out: SaKey },
    madeByUs: boolean,
    now: number,
  ) {
    this.id = id;
    this.owner = owner;
    this.config = config;
    this.agreement = agreement;
    this.keyIn = keys.in;
    this.keyOut = keys.out;
    this.madeByUs = madeByUs;
    this.origin = { madeByUs, lowestNonce: this.lowestNonce };
    this.installedAt = now;
  }

  /** PROTOCOL number. */
  get protocol(): number {
    return this.agreement.protocol === 'esp' ? PROTOCOL.ESP : PROTOCOL.AH;
  }

  /** For logs: `"net" c1f00d42/9e3779b9`. */
  get text(): string {
    return `"${this.config.name}" ${spiText(this.agreement.spiIn)}/${spiText(this.agreement.spiOut)}`;
  }
}

/** @returns whether a child is there to stay, as far as is known: not on its way out, and not replaced */
export const isCurrent = ({ state, replacedBy }: ChildSa): boolean => isLive(state) && replacedBy === undefined;

const selectorsText = ({ agreement }: ChildSa): string => JSON.stringify([agreement.local, agreement.remote]);

/** @returns whether `other` is there to stay, and protects under the same name what `child` does */
export const standsFor = (other: ChildSa, child: ChildSa): boolean =>
  other.config.name === child.config.name && isCurrent(other) && selectorsText(other) === selectorsText(child);

/** @returns the first of a child's successors that is still there */
export function heirOf(child: ChildSa): ChildSa | undefined {
  let heir = child.replacedBy;
  while (heir?.state === 'DELETED') heir = heir.replacedBy;
  return heir;
}

/** @returns eight hexadecimal digits */
export const spiText = (spi: number): string => spi.toString(16).padStart(8, '0');
