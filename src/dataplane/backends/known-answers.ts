/** Known answers that every backend has to give; a native one gives them before it may touch a packet. */
import { STATUS_BAD_ICV, STATUS_OK } from '../../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteName } from '../../algorithms.ts';
import { EspalierError } from '../../errors.ts';
import type { CryptoBackend, KernelMemory } from './backend.ts';
import { type PacketView, Workbench } from './workbench.ts';

export interface KnownAnswer {
  readonly suite: CipherSuite;
  readonly key: string;
  readonly salt?: string;
  readonly integKey?: string;
  readonly iv: string;
  readonly aad: string;
  readonly plain: string;
  readonly sealed: string;
  readonly icv: string;
}

/** "Single block msg" */
const SINGLE_BLOCK_MSG = '53696e676c6520626c6f636b206d7367';

export const KNOWN_ANSWERS: readonly KnownAnswer[] = [
  {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 4.
    suite: { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
    key: 'feffe9928665731c6d6a8f9467308308',
    salt: 'cafebabe',
    iv: 'facedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plain:
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
      '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    sealed:
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e' +
      '21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091',
    icv: '5bc94fbc3221a5db94fae95ae7121a47',
  },
  {
    // RFC 8439 §2.8.2.
    suite: { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
    key: '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
    salt: '07000000',
    iv: '4041424344454647',
    aad: '50515253c0c1c2c3c4c5c6c7',
    plain:
      '4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20' +
      '4966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f722074686520' +
      '6675747572652c2073756e73637265656e20776f756c642062652069742e',
    sealed:
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fa' +
      'fb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4' +
      'fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116',
    icv: '1ae10b594f09e26a7e902ecbd0600691',
  },
  {
    // RFC 3602 §4 case 1; the ICV by another implementation.
    suite: { encr: ENCR.AES_CBC, keyBits: 128, integ: INTEG.HMAC_SHA2_256_128 },
    key: '06a9214036b8a15b512e03d534120006',
    integKey: '0b'.repeat(32),
    iv: '3dafba429d9eb430b422da802c9fac41',
    aad: '00004321000000013dafba429d9eb430b422da802c9fac41',
    plain: SINGLE_BLOCK_MSG,
    sealed: 'e353779c1079aeb82708942dbe77181a',
    icv: 'dcf076d89afe37176d8a45cd1e13dde8',
  },
  {
    // RFC 3686 §6 vector 1; the ICV by another implementation.
    suite: { encr: ENCR.AES_CTR, keyBits: 128, integ: INTEG.HMAC_SHA2_512_256 },
    key: 'ae6852f8121067cc4bf7a5765577f39e',
    salt: '00000030',
    integKey: '0b'.repeat(64),
    iv: '0000000000000000',
    aad: '00004321000000010000000000000000',
    plain: SINGLE_BLOCK_MSG,
    sealed: 'e4095d4fb7a7b3792d6175a3261311b8',
    icv: 'fbc4d0ea8a8b09172f386d97717b5838dfb770959245d247ce288e50355e9d18',
  },
  {
    // NIST CAVP, CCM, VNT128: the first case with the nonce of 11 bytes that RFC 4309 uses.
    suite: { encr: ENCR.AES_CCM_16, keyBits: 128, integ: INTEG.NONE },
    key: 'e6ab9e70a4fb51b01c2e262233e64c0d',
    salt: '74e689',
    iv: 'eb5af9441dd690a6',
    aad: '42f6518ee0fbe42f28e13b4bb2eb60517b37c9744394d9143393a879c3e107c7',
    plain: 'ba15916733550d7aa82b2f6b117cd3f54c83ddc16cd0288a',
    sealed: 'dcc151443288f35d39ed8fae6f0ce1d1eb656f4f7fd65c0b',
    icv: '16f322ce85d7c54e71ac560fd4da9651',
  },
  {
    suite: { encr: ENCR.NULL_AUTH_AES_GMAC, keyBits: 128, integ: INTEG.NONE },
    key: 'feffe9928665731c6d6a8f9467308308',
    salt: 'cafebabe',
    iv: 'facedbaddecaf888',
    aad: '0000432100000001',
    plain: '202122232425262728292a2b2c2d2e2f',
    sealed: '202122232425262728292a2b2c2d2e2f',
    icv: 'd551141546e05c93599f91f7ed371ffb',
  },
];

/**
 * Tries every known answer.
 * @param create makes the backend to be tested over a memory of ours
 * @throws EspalierError `ERR_BACKEND_UNAVAILABLE`
 */
export function selfTest(create: (kernel: KernelMemory) => CryptoBackend): void {
  const bench = new Workbench(65_536);
  const backend = create(bench.kernel);
  try {
    for (const answer of KNOWN_ANSWERS) {
      if (knownAnswerFailure(backend, bench, answer)) {
        const message = `the backend '${backend.name}' fails its self-test with ${suiteName(answer.suite)}`;
        throw new EspalierError('ERR_BACKEND_UNAVAILABLE', message);
      }
    }
  } finally {
    backend.close();
  }
}

/**
 * Seals, opens and refuses a packet, twice, because contexts are used again.
 * @returns whether any of it went wrong
 */
export function knownAnswerFailure(backend: CryptoBackend, bench: Workbench, answer: KnownAnswer): boolean {
  const { suite, salt = '', integKey = '' } = answer;
  const key = bench.key(suite, { key: hex(answer.key), salt: hex(salt), integKey: hex(integKey) });
  const spec = { key, iv: hex(answer.iv), aad: hex(answer.aad) };
  const sealed = { ...spec, payload: hex(answer.sealed), icv: hex(answer.icv) };
  const forged = { ...sealed, icv: sealed.icv.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) };
  const plain = { ...spec, payload: hex(answer.plain) };
  const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
  for (let round = 0; round < 2; round++) {
    const [toSeal, toOpen, toRefuse] = bench.packets([plain, sealed, forged]) as [PacketView, PacketView, PacketView];
    backend.seal(toSeal.descriptor, 1);
    if (!same(toSeal.payload, sealed.payload) || !same(toSeal.icv, sealed.icv)) return true;
    backend.open(toRefuse.descriptor, 1);
    if (toRefuse.status() !== STATUS_BAD_ICV || toRefuse.payload.some((byte) => byte !== 0)) return true;
    backend.open(toOpen.descriptor, 1);
    if (toOpen.status() !== STATUS_OK || !same(toOpen.payload, plain.payload)) return true;
  }
  return false;
}

const hex = (digits: string) => Uint8Array.from(Buffer.from(digits, 'hex'));
