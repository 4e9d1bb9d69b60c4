/**
 * A configuration as the control plane uses it: parsed, checked and with every default filled in.
 * Names and meanings are swanctl.conf's. Times are in seconds, 0 is "never" where that makes sense.
 */
import type { Endpoint, SaParameters, TrafficSelector } from '../../contract.ts';
import type { CryptoProviderName } from '../crypto/provider.ts';
import type { Transform } from '../wire/payloads/sa.ts';

/** One proposal of `proposals`, `esp_proposals` or `ah_proposals`, in order of preference inside each type. */
export interface ProposalConfig {
  /** As the user wrote it: `aes128gcm16-prfsha256-x25519`. */
  readonly text: string;
  /** PROTOCOL of `wire/iana.ts`. */
  readonly protocol: number;
  readonly transforms: readonly Transform[];
}

/** An identity as it stands in IDi and IDr (RFC 7296 §3.5). */
export interface Identity {
  /** ID_TYPE of `wire/iana.ts`. */
  readonly idType: number;
  readonly data: Uint8Array;
  /** `192.0.2.1`, `gw.example.org`, `alice@example.org`, `CN=gw, O=Example`, `keyid:0a0b`. */
  readonly text: string;
}

/** How a side proves who it is. */
export interface LocalAuth {
  readonly auth: 'psk' | 'pubkey' | 'null';
  /** Without one, the local address (psk) or the certificate's subject (pubkey). */
  readonly id?: Identity;
  /** Certificates to send, the end entity's first, DER. */
  readonly certs: readonly Uint8Array[];
  /** PKCS#8 private key, DER. */
  readonly privateKey?: Uint8Array;
  /** Signature hashes to use, HASH numbers, best first; empty for all that are allowed. */
  readonly hashes: readonly number[];
  readonly psk?: Uint8Array;
}

export interface RemoteAuth {
  readonly auth: 'psk' | 'pubkey' | 'null' | 'any';
  /** Identities that are accepted, `*` wildcards allowed in FQDN and RFC 822; empty for any. */
  readonly ids: readonly Identity[];
  /** End-entity certificates that are accepted as they are, DER; empty for any that a CA vouches for. */
  readonly certs: readonly Uint8Array[];
  /** Trust anchors, DER. */
  readonly cacerts: readonly Uint8Array[];
  /** Certificate revocation lists, DER. */
  readonly crls: readonly Uint8Array[];
  readonly psk?: Uint8Array;
}

export type StartAction = 'none' | 'trap' | 'start' | 'trap|start';
export type ClosingAction = 'none' | 'clear' | 'trap' | 'start' | 'restart';

export interface ChildConfig {
  readonly name: string;
  readonly mode: 'tunnel' | 'transport';
  /** Both ESP (3) and AH (2) proposals, in order of preference. */
  readonly proposals: readonly ProposalConfig[];
  /** Left out: `dynamic`, the address of the IKE SA on that side. Only one side of each selector is used. */
  readonly localTs: readonly SelectorConfig[];
  readonly remoteTs: readonly SelectorConfig[];
  readonly startAction: StartAction;
  readonly closeAction: ClosingAction;
  readonly dpdAction: ClosingAction;
  /** What becomes of its traffic while it is not up: nothing, or what it would be without the child. */
  readonly whenDown: 'drop' | 'pass';
  readonly rekeyTime: number;
  readonly lifeTime: number;
  readonly randTime: number;
  readonly rekeyBytes: number;
  readonly lifeBytes: number;
  readonly randBytes: number;
  readonly rekeyPackets: number;
  readonly lifePackets: number;
  readonly randPackets: number;
  readonly replayWindow: number;
  readonly tfcPadding: number;
  readonly tfcDummies: number;
  readonly df: NonNullable<SaParameters['df']>;
  readonly copyDscp: boolean;
  readonly dscpMap?: NonNullable<SaParameters['dscpMap']>;
  /**
   * Lower is looked up first; children have 1000 and the file's policies 100 unless they say otherwise.
   * Wide selectors add up to 99, so that among children of one priority the narrower is found first.
   */
  readonly priority: number;
}

/** One `local_ts` or `remote_ts`: `10.1.0.0/16[tcp/80]`, or `dynamic[udp/53]`. */
export interface SelectorConfig {
  readonly text: string;
  readonly protocol: number;
  /** Undefined for `dynamic`. */
  readonly addresses?: TrafficSelector['local']['addresses'];
  readonly ports: TrafficSelector['local']['ports'];
}

export interface ConnectionConfig {
  readonly name: string;
  /** Addresses, prefixes or ranges; empty for any. The first plain address is the one to initiate from. */
  readonly localAddrs: readonly string[];
  /**
   * Empty for any, which can only respond. Host names stand here as the file has them; the core gets
   * the addresses in their place (`manage/host-names.ts`).
   */
  readonly remoteAddrs: readonly string[];
  readonly localPort: number;
  readonly remotePort: number;
  readonly proposals: readonly ProposalConfig[];
  readonly local: LocalAuth;
  readonly remote: RemoteAuth;
  readonly children: readonly ChildConfig[];
  /** Force UDP encapsulation of ESP, by pretending to be behind a NAT. */
  readonly encap: boolean;
  readonly mobike: boolean;
  readonly childless: 'allow' | 'prefer' | 'force' | 'never';
  readonly fragmentation: 'yes' | 'accept' | 'force' | 'no';
  readonly dpdDelay: number;
  readonly keyingtries: number;
  readonly unique: 'no' | 'never' | 'keep' | 'replace';
  readonly reauthTime: number;
  readonly rekeyTime: number;
  readonly overTime: number;
  readonly randTime: number;
  readonly sendCert: 'always' | 'ifasked' | 'never';
  readonly sendCertreq: boolean;
  readonly ppkId?: Identity;
  readonly ppk?: Uint8Array;
  readonly ppkRequired: boolean;
}

/** Protects the responder from floods (RFC 7296 §2.6), and bounds its memory. */
export interface IkeLimits {
  /** Half-open IKE SAs from which on cookies are asked for; 0 asks always. */
  readonly cookieThreshold: number;
  /** Half-open IKE SAs of one address, and in all, above which new ones are dropped. */
  readonly halfOpenPerAddress: number;
  readonly halfOpen: number;
  readonly ikeSas: number;
  /** First retransmission in seconds, factor from one to the next, tries. */
  readonly retransmitTimeout: number;
  readonly retransmitBase: number;
  readonly retransmitTries: number;
  /** Requests that a peer may have outstanding at a time (SET_WINDOW_SIZE, RFC 7296 §2.3). */
  readonly windowSize: number;
  /** Bytes of an IP datagram that carries an IKE message before it is fragmented (RFC 7383). */
  readonly fragmentSize: number;
  /** Seconds between NAT keepalives (RFC 3948 §4). */
  readonly keepalive: number;
}

/** An SA with keys from the file, as `ip xfrm state add` takes them. */
export interface ManualSaConfig {
  readonly name: string;
  readonly parameters: Omit<SaParameters, 'name'>;
  /** Seconds from its installation to its end; 0 for never. */
  readonly lifeTime: number;
}

/**
 * An entry of the SPD that no child makes. An outbound manual SA that no entry of the file names has
 * one here for each of its selectors, so that traffic finds it.
 */
export interface PolicyConfig {
  readonly name: string;
  readonly direction: 'in' | 'out';
  readonly action: 'protect' | 'bypass' | 'discard';
  readonly priority: number;
  readonly selector: TrafficSelector;
  /** Name of a manual SA, for `protect`. */
  readonly sa?: string;
}

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

export interface Config {
  readonly gateway: {
    readonly device: string;
    readonly mtu?: number;
    readonly addresses: readonly string[];
    readonly workers: number;
    /** Crypto backend, by name or by path. */
    readonly backend: string;
    /** Another that checks a sample of every backend's packets. */
    readonly shadow?: string;
    readonly listen: readonly string[];
    readonly port: number;
    readonly portNatT: number;
    readonly mark: number;
    /** Install routes to remote traffic selectors. */
    readonly installRoutes: boolean;
    /** What becomes of packets that arrive in the clear and are to come protected. */
    readonly inboundClear: 'discard' | 'accept';
  };
  readonly control: {
    readonly crypto: CryptoProviderName;
    /** Path of the Unix socket of the control API. */
    readonly socket: string;
    readonly logLevel: LogLevel;
    readonly limits: IkeLimits;
    /** Where Prometheus may fetch metrics over TCP, beside the socket; undefined for nowhere. */
    readonly metrics?: Endpoint;
    /** Path of the Wireshark key tables; undefined writes none. */
    readonly keyLog?: string;
  };
  readonly connections: readonly ConnectionConfig[];
  /** Crypto backends of connections that have one of their own. They are no part of a connection: its SAs stay when it changes. */
  readonly backends: ReadonlyMap<string, string>;
  readonly manual: readonly ManualSaConfig[];
  readonly policies: readonly PolicyConfig[];
}
