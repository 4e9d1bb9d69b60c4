/** What `espalier status --json` shows: plain data, no secrets. */
import type { DataPlaneInfo, Direction, IpsecMode, IpsecProtocol, SaCounters } from '../../contract.ts';

/** RFC 7296 calls for few of these; the names are strongSwan's, which users know. */
export type IkeSaState =
  | 'CREATED'
  | 'CONNECTING'
  | 'ESTABLISHED'
  | 'PASSIVE'
  | 'REKEYING'
  | 'REKEYED'
  | 'DELETING'
  | 'DESTROYING';

export type ChildSaState =
  | 'CREATED'
  | 'ROUTED'
  | 'INSTALLING'
  | 'INSTALLED'
  | 'UPDATING'
  | 'REKEYING'
  | 'REKEYED'
  | 'RETRYING'
  | 'DELETING'
  | 'DELETED';

export interface ChildSaStatus {
  readonly name: string;
  /** Unique in the life of the process. */
  readonly id: number;
  readonly state: ChildSaState;
  readonly protocol: 'esp' | 'ah';
  readonly mode: 'tunnel' | 'transport';
  readonly encapsulation: 'udp' | 'none';
  /** swanctl keywords: `aes128gcm16`. */
  readonly algorithm: string;
  readonly esn: boolean;
  /** Eight hexadecimal digits. */
  readonly spiIn: string;
  readonly spiOut: string;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
  readonly installedSeconds: number;
  readonly rekeySeconds?: number;
  readonly lifeSeconds?: number;
  readonly in?: SaCounters;
  readonly out?: SaCounters;
}

export interface IkeSaStatus {
  readonly connection: string;
  readonly id: number;
  readonly state: IkeSaState;
  readonly initiator: boolean;
  readonly local: { readonly address: string; readonly port: number; readonly id?: string };
  readonly remote: { readonly address: string; readonly port: number; readonly id?: string };
  /** Sixteen hexadecimal digits. */
  readonly spiI: string;
  readonly spiR: string;
  /** swanctl keywords of the chosen proposal. */
  readonly proposal?: string;
  readonly natLocal: boolean;
  readonly natRemote: boolean;
  readonly establishedSeconds?: number;
  readonly rekeySeconds?: number;
  readonly reauthSeconds?: number;
  readonly children: readonly ChildSaStatus[];
}

/** A child whose policies are installed without an SA: the first packet brings it up. */
export interface TrappedChildStatus {
  readonly connection: string;
  readonly name: string;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

/** An SA whose keys are from the configuration. */
export interface ManualSaStatus {
  readonly name: string;
  readonly direction: Direction;
  readonly protocol: IpsecProtocol;
  readonly mode: IpsecMode;
  readonly algorithm: string;
  readonly spi: string;
  readonly counters?: SaCounters;
}

/** An SPD entry. */
export interface PolicyStatus {
  /** Of the configuration: `policies` or `sas`. Of a child: `connection/child`. */
  readonly name: string;
  readonly direction: Direction;
  readonly action: 'protect' | 'bypass' | 'discard';
  readonly selector: string;
  readonly packets: number;
  readonly bytes: number;
}

export interface GatewayStatus {
  readonly version: string;
  /** Version of Node.js. */
  readonly node: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly dataPlane: DataPlaneInfo;
  readonly ikeSas: readonly IkeSaStatus[];
  /** Children that wait for their first packet. */
  readonly trapped: readonly TrappedChildStatus[];
  readonly manualSas: readonly ManualSaStatus[];
  readonly policies: readonly PolicyStatus[];
  /** Dropped packets by reason, without those that are 0. */
  readonly drops: Readonly<Record<string, number>>;
}
