/** Published vectors of the algorithms of ESP, a few of each; the full NIST sets are in test/interop. */
import { type CipherSuite, ENCR, INTEG } from '../../src/algorithms.ts';

export interface EspVector {
  readonly source: string;
  readonly suite: CipherSuite;
  readonly key: string;
  readonly salt?: string;
  readonly iv: string;
  /** Of a combined mode. */
  readonly aad?: string;
  readonly plain: string;
  readonly sealed: string;
  /** Of a combined mode. */
  readonly icv?: string;
}

const gcm = (keyBits: number): CipherSuite => ({ encr: ENCR.AES_GCM_16, keyBits, integ: INTEG.NONE });
const chacha: CipherSuite = { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE };
const cbc = (keyBits: number): CipherSuite => ({ encr: ENCR.AES_CBC, keyBits, integ: INTEG.HMAC_SHA2_256_128 });
const ctr = (keyBits: number): CipherSuite => ({ encr: ENCR.AES_CTR, keyBits, integ: INTEG.HMAC_SHA2_256_128 });

const SINGLE_BLOCK_MSG = '53696e676c6520626c6f636b206d7367';
const upTo = (length: number) => Buffer.from(Array.from({ length }, (_, i) => i)).toString('hex');

export const ESP_VECTORS: readonly EspVector[] = [
  {
    source: 'draft-mcgrew-gcm-test-01, AES-128 with a 64-bit sequence number',
    suite: gcm(128),
    key: '4c80cdefbb5d10da906ac73c3613a634',
    salt: '2e443b68',
    iv: '4956ed7e3b244cfe',
    aad: '000043218765432100000000',
    plain:
      '45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000' +
      '00000000045f736970045f756470037369700963796265726369747902646b00' +
      '0021000101020201',
    sealed:
      'fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34' +
      'cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce' +
      '61bc17d768fd9732',
    icv: '459018148f6cbe722fd04796562dfdb4',
  },
  {
    source: 'draft-mcgrew-gcm-test-01, AES-256',
    suite: gcm(256),
    key: 'abbccddef00112233445566778899aababbccddef00112233445566778899aab',
    salt: '11223344',
    iv: '0102030405060708',
    aad: '4a2cbfe300000002',
    plain:
      '4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000' + '7002400020bf0000020405b40101040201020201',
    sealed:
      'ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763' + '748a637985771d347f0545659f14e99def842d8e',
    icv: 'b335f4eecfdbf831824b4c4915956c96',
  },
  {
    source: 'McGrew and Viega, GCM, test case 1: nothing at all',
    suite: gcm(128),
    key: '00'.repeat(16),
    salt: '00000000',
    iv: '0000000000000000',
    aad: '',
    plain: '',
    sealed: '',
    icv: '58e2fccefa7e3061367f1d57a4e7455a',
  },
  {
    source: 'McGrew and Viega, GCM, test case 16: AES-256 with 20 bytes of AAD',
    suite: gcm(256),
    key: 'feffe9928665731c6d6a8f9467308308'.repeat(2),
    salt: 'cafebabe',
    iv: 'facedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plain:
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
      '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    sealed:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
      '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
    icv: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
  {
    source: 'RFC 8439 §2.8.2',
    suite: chacha,
    key: '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
    salt: '07000000',
    iv: '4041424344454647',
    aad: '50515253c0c1c2c3c4c5c6c7',
    plain: Buffer.from(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    ).toString('hex'),
    sealed:
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6' +
      '3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36' +
      '92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc' +
      '3ff4def08e4b7a9de576d26586cec64b6116',
    icv: '1ae10b594f09e26a7e902ecbd0600691',
  },
  {
    source: 'RFC 3602 §4 case 1',
    suite: cbc(128),
    key: '06a9214036b8a15b512e03d534120006',
    iv: '3dafba429d9eb430b422da802c9fac41',
    plain: SINGLE_BLOCK_MSG,
    sealed: 'e353779c1079aeb82708942dbe77181a',
  },
  {
    source: 'RFC 3602 §4 case 2',
    suite: cbc(128),
    key: 'c286696d887c9aa0611bbb3e2025a45a',
    iv: '562e17996d093d28ddb3ba695a2e6f58',
    plain: upTo(32),
    sealed: 'd296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1',
  },
  {
    source: 'RFC 3686 §6 vector 1',
    suite: ctr(128),
    key: 'ae6852f8121067cc4bf7a5765577f39e',
    salt: '00000030',
    iv: '0000000000000000',
    plain: SINGLE_BLOCK_MSG,
    sealed: 'e4095d4fb7a7b3792d6175a3261311b8',
  },
  {
    source: 'RFC 3686 §6 vector 2',
    suite: ctr(128),
    key: '7e24067817fae0d743d6ce1f32539163',
    salt: '006cb6db',
    iv: 'c0543b59da48d90b',
    plain: upTo(32),
    sealed: '5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28',
  },
  {
    source: 'RFC 3686 §6 vector 3',
    suite: ctr(128),
    key: '7691be035e5020a8ac6e618529f9a0dc',
    salt: '00e0017b',
    iv: '27777f3f4a1786f0',
    plain: upTo(36),
    sealed: 'c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f',
  },
  {
    source: 'RFC 3686 §6 vector 7',
    suite: ctr(256),
    key: '776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104',
    salt: '00000060',
    iv: 'db5672c97aa8f0b2',
    plain: SINGLE_BLOCK_MSG,
    sealed: '145ad01dbf824ec7560863dc71e3e0c0',
  },
];
