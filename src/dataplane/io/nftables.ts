/**
 * One table of nf_tables, over NETLINK_NETFILTER: no `nft` command has to be there. The table belongs to the socket
 * (NFT_TABLE_F_OWNER, Linux 5.12): nobody else can change or flush it, and when the process ends, in whatever way,
 * the kernel removes it.
 *
 *     table ─┬─ chain ── rule ── expression, expression …      load, compare, …, verdict
 *            ├─ set ──── element, element …
 *            └─ counter
 */
import {
  type Attribute,
  encodeAttributes,
  NetlinkSocket,
  NLM_F_APPEND,
  NLM_F_CREATE,
  parseAttributes,
} from './netlink.ts';
import { SO_SNDBUFFORCE, SOL_SOCKET } from './socket-options.ts';
import { setsockopt } from './syscalls.ts';

const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;

const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_DELRULE = 8;
const NFT_MSG_NEWSET = 9;
const NFT_MSG_DELSET = 11;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_NEWOBJ = 18;
const NFT_MSG_GETOBJ = 19;

/** In messages of every type, the table's name. */
const TABLE = 1;
const TABLE_FLAGS = 2;
const CHAIN_NAME = 3;
const CHAIN_HOOK = 4;
const CHAIN_TYPE = 7;
const HOOK_NUMBER = 1;
const HOOK_PRIORITY = 2;
const RULE_CHAIN = 2;
const RULE_EXPRESSIONS = 4;
const SET_NAME = 2;
const SET_FLAGS = 3;
const SET_KEY_TYPE = 4;
const SET_KEY_LENGTH = 5;
const SET_ID = 10;
const ELEMENTS_SET = 2;
const ELEMENTS = 3;
const ELEMENT_KEY = 1;
const ELEMENT_FLAGS = 3;
const OBJECT_NAME = 2;
const OBJECT_TYPE = 3;
const OBJECT_DATA = 4;
const COUNTER_PACKETS = 2;
const LIST_ELEMENT = 1;
const DATA_VALUE = 1;

const NFPROTO_INET = 1;
const NFT_TABLE_F_OWNER = 2;
const NFT_SET_INTERVAL = 4;
const NFT_SET_ELEM_INTERVAL_END = 1;
const NFT_OBJECT_COUNTER = 1;
const NF_INET_PRE_ROUTING = 0;
/** How `nft list` is to show the keys of a set. */
const KEY_TYPES: Readonly<Record<number, number>> = { 4: 7, 16: 8 };

/** The attribute that holds a message's elements may have 64 KiB. */
const ELEMENTS_A_MESSAGE = 1_000;
/** What is to be made together is sent at once: sets of thousands of ranges are longer than the default of 208 KiB. */
const SEND_BUFFER = 8 << 20;

export const u32be = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value);
  return bytes;
};

export const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`, 'latin1');

/** One of the changes that are made together. */
export interface Change {
  readonly type: number;
  readonly flags: number;
  readonly attributes: readonly Attribute[];
}

/** @param priority among the chains of the hook, lower is earlier; 0 is behind destination NAT */
export const baseChain = (name: string, priority: number): Change => {
  const hook = encodeAttributes([
    [HOOK_NUMBER, u32be(NF_INET_PRE_ROUTING)],
    [HOOK_PRIORITY, u32be(priority)],
  ]);
  return create(NFT_MSG_NEWCHAIN, [
    [CHAIN_NAME, cString(name)],
    [CHAIN_HOOK, hook],
    [CHAIN_TYPE, cString('filter')],
  ]);
};

/** A chain for others to go to. */
export const chain = (name: string): Change => create(NFT_MSG_NEWCHAIN, [[CHAIN_NAME, cString(name)]]);

/** Appends a rule. */
export const rule = (chain: string, expressions: readonly Uint8Array[]): Change => ({
  ...create(NFT_MSG_NEWRULE, [
    [RULE_CHAIN, cString(chain)],
    [RULE_EXPRESSIONS, encodeAttributes(expressions.map((expression) => [LIST_ELEMENT, expression]))],
  ]),
  flags: NLM_F_CREATE | NLM_F_APPEND,
});

/** Removes all rules of a chain. */
export const flushChain = (name: string): Change => ({
  type: NFT_MSG_DELRULE,
  flags: 0,
  attributes: [[RULE_CHAIN, cString(name)]],
});

export const counter = (name: string): Change =>
  create(NFT_MSG_NEWOBJ, [
    [OBJECT_NAME, cString(name)],
    [OBJECT_TYPE, u32be(NFT_OBJECT_COUNTER)],
    [OBJECT_DATA, new Uint8Array()],
  ]);

/**
 * A set of addresses, for `lookup`.
 * @param id another one for each set of a transaction
 * @param ranges sorted, and neither overlapping nor next to each other; `end` is the first address behind the range,
 *   undefined if there is none
 */
export function addressSet(
  name: string,
  id: number,
  ranges: readonly { readonly from: Uint8Array; readonly end: Uint8Array | undefined }[],
): Change[] {
  const length = ranges[0]!.from.length;
  const set = create(NFT_MSG_NEWSET, [
    [SET_NAME, cString(name)],
    [SET_FLAGS, u32be(NFT_SET_INTERVAL)],
    [SET_KEY_TYPE, u32be(KEY_TYPES[length]!)],
    [SET_KEY_LENGTH, u32be(length)],
    [SET_ID, u32be(id)],
  ]);
  const elements = ranges.flatMap(({ from, end }) => [
    encodeAttributes([[ELEMENT_KEY, value(from)]]),
    ...(end === undefined
      ? []
      : [
          encodeAttributes([
            [ELEMENT_KEY, value(end)],
            [ELEMENT_FLAGS, u32be(NFT_SET_ELEM_INTERVAL_END)],
          ]),
        ]),
  ]);
  const messages: Change[] = [];
  for (let at = 0; at < elements.length; at += ELEMENTS_A_MESSAGE) {
    const some = elements.slice(at, at + ELEMENTS_A_MESSAGE);
    messages.push(
      create(NFT_MSG_NEWSETELEM, [
        [ELEMENTS_SET, cString(name)],
        [ELEMENTS, encodeAttributes(some.map((element) => [LIST_ELEMENT, element]))],
      ]),
    );
  }
  return [set, ...messages];
}

export const removeSet = (name: string): Change => ({
  type: NFT_MSG_DELSET,
  flags: 0,
  attributes: [[SET_NAME, cString(name)]],
});

/** @returns a struct nft_data with bytes as they stand in a register */
export const value = (bytes: Uint8Array): Uint8Array => encodeAttributes([[DATA_VALUE, bytes]]);

function create(type: number, attributes: readonly Attribute[]): Change {
  return { type, flags: NLM_F_CREATE, attributes };
}

/** struct nfgenmsg: family, version, resource in network order. */
const header = (family: number, resource: number): Uint8Array =>
  Uint8Array.of(family, 0, resource >>> 8, resource & 255);

export class NfTable {
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);
  readonly #name: string;

  /**
   * Makes the table, for packets of both families.
   * @throws SystemError where there is no nf_tables, one older than Linux 5.12, or something in `changes` that it lacks
   */
  constructor(name: string, changes: readonly Change[]) {
    this.#name = name;
    setsockopt(this.#socket.fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
    try {
      this.commit([create(NFT_MSG_NEWTABLE, [[TABLE_FLAGS, u32be(NFT_TABLE_F_OWNER)]]), ...changes]);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Makes all changes or none: no packet meets half of them.
   * @throws SystemError with the kernel's first objection
   */
  commit(changes: readonly Change[]): void {
    const batch = { flags: 0, header: header(0, NFNL_SUBSYS_NFTABLES), attributes: [] };
    const requests = [
      { ...batch, type: NFNL_MSG_BATCH_BEGIN },
      ...changes.map((change) => this.#request(change)),
      { ...batch, type: NFNL_MSG_BATCH_END },
    ];
    this.#socket.requestAll('set up nf_tables', requests);
  }

  /** @returns how many packets a counter has seen */
  packets(name: string): number {
    const answer = this.#socket.get(
      this.#request({
        type: NFT_MSG_GETOBJ,
        flags: 0,
        attributes: [
          [OBJECT_NAME, cString(name)],
          [OBJECT_TYPE, u32be(NFT_OBJECT_COUNTER)],
        ],
      }),
    );
    const data = parseAttributes(answer?.subarray(4) ?? new Uint8Array()).get(OBJECT_DATA);
    const packets = data && parseAttributes(data).get(COUNTER_PACKETS);
    return packets === undefined ? 0 : Number(Buffer.from(packets).readBigUInt64BE());
  }

  /** The table goes with its socket. */
  close(): void {
    this.#socket.close();
  }

  #request({ type, flags, attributes }: Change) {
    return {
      type: (NFNL_SUBSYS_NFTABLES << 8) | type,
      flags,
      header: header(NFPROTO_INET, 0),
      attributes: [[TABLE, cString(this.#name)] as const, ...attributes],
    };
  }
}
