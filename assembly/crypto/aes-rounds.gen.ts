// Printed by scripts/generate-aes-rounds.mjs: do not edit.
import { SET_SIZE, SLICED_SIZE } from "./aes-lanes";
import { ladderOutput, lookUp } from "./aes-sbox";
import { DOUBLE_T, DOUBLE_U, INVERSES, NIBBLE_MASK, QUOTIENTS, TRIPLE_T, TRIPLE_U } from "./aes-tables.gen";

/**
 * Rounds that end in MixColumns, for `sets` SETs.
 * @param keys the first round's sliced key
 */
export function middleRounds(state: usize, sets: i32, keys: usize, rounds: i32): void {
  const mask = v128.load(NIBBLE_MASK);
  const inverses = v128.load(INVERSES);
  const quotients = v128.load(QUOTIENTS);
  const doubleU = v128.load(DOUBLE_U);
  const doubleT = v128.load(DOUBLE_T);
  const tripleU = v128.load(TRIPLE_U);
  const tripleT = v128.load(TRIPLE_T);
  const end = state + sets * SET_SIZE;
  for (; rounds > 0; rounds--, keys += SLICED_SIZE) {
    for (let set = state; set < end; set += SET_SIZE) {
      let x0: v128, k0: v128, i0: v128, j0: v128, ak0: v128, io0: v128, jo0: v128, triple0: v128;
      let x1: v128, k1: v128, i1: v128, j1: v128, ak1: v128, io1: v128, jo1: v128, double1: v128;
      x0 = v128.load(set, 0);
      x1 = v128.load(set, 80);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 256);
      v128.store(set, v128.xor(triple0, double1), 272);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 288);

      x0 = v128.load(set, 160);
      x1 = v128.load(set, 240);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 320);
      v128.store(set, v128.xor(triple0, double1), 336);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 352);

      x0 = v128.load(set, 64);
      x1 = v128.load(set, 144);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 384);
      v128.store(set, v128.xor(triple0, double1), 400);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 416);

      x0 = v128.load(set, 224);
      x1 = v128.load(set, 48);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 448);
      v128.store(set, v128.xor(triple0, double1), 464);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 480);

      x0 = v128.load(set, 128);
      x1 = v128.load(set, 208);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 512);
      v128.store(set, v128.xor(triple0, double1), 528);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 544);

      x0 = v128.load(set, 32);
      x1 = v128.load(set, 112);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 576);
      v128.store(set, v128.xor(triple0, double1), 592);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 608);

      x0 = v128.load(set, 192);
      x1 = v128.load(set, 16);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 640);
      v128.store(set, v128.xor(triple0, double1), 656);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 672);

      x0 = v128.load(set, 96);
      x1 = v128.load(set, 176);
      k0 = v128.and(x0, mask);
      k1 = v128.and(x1, mask);
      i0 = v128.and(i16x8.shr_u(x0, 4), mask);
      i1 = v128.and(i16x8.shr_u(x1, 4), mask);
      j0 = v128.xor(i0, k0);
      j1 = v128.xor(i1, k1);
      ak0 = lookUp(quotients, k0);
      ak1 = lookUp(quotients, k1);
      io0 = ladderOutput(inverses, i0, j0, ak0);
      io1 = ladderOutput(inverses, i1, j1, ak1);
      jo0 = ladderOutput(inverses, j0, i0, ak0);
      jo1 = ladderOutput(inverses, j1, i1, ak1);
      double1 = v128.xor(lookUp(doubleU, io1), lookUp(doubleT, jo1));
      triple0 = v128.xor(lookUp(tripleU, io0), lookUp(tripleT, jo0));
      v128.store(set, v128.xor(lookUp(doubleU, io0), lookUp(doubleT, jo0)), 704);
      v128.store(set, v128.xor(triple0, double1), 720);
      v128.store(set, v128.xor(lookUp(tripleU, io1), lookUp(tripleT, jo1)), 736);

      let u0: v128, u1: v128, u2: v128, u3: v128, u01: v128, u23: v128;
      u0 = v128.load(set, 272);
      u1 = v128.xor(v128.load(set, 288), v128.load(set, 320));
      u2 = v128.load(set, 336);
      u3 = v128.xor(v128.load(set, 352), v128.load(set, 256));
      u01 = v128.xor(u0, u1);
      u23 = v128.xor(u2, u3);
      v128.store(set, v128.xor(v128.xor(u1, u23), v128.load(keys, 0)), 0);
      v128.store(set, v128.xor(v128.xor(u0, u23), v128.load(keys, 16)), 16);
      v128.store(set, v128.xor(v128.xor(u3, u01), v128.load(keys, 32)), 32);
      v128.store(set, v128.xor(v128.xor(u2, u01), v128.load(keys, 48)), 48);

      u0 = v128.load(set, 400);
      u1 = v128.xor(v128.load(set, 416), v128.load(set, 448));
      u2 = v128.load(set, 464);
      u3 = v128.xor(v128.load(set, 480), v128.load(set, 384));
      u01 = v128.xor(u0, u1);
      u23 = v128.xor(u2, u3);
      v128.store(set, v128.xor(v128.xor(u1, u23), v128.load(keys, 64)), 64);
      v128.store(set, v128.xor(v128.xor(u0, u23), v128.load(keys, 80)), 80);
      v128.store(set, v128.xor(v128.xor(u3, u01), v128.load(keys, 96)), 96);
      v128.store(set, v128.xor(v128.xor(u2, u01), v128.load(keys, 112)), 112);

      u0 = v128.load(set, 528);
      u1 = v128.xor(v128.load(set, 544), v128.load(set, 576));
      u2 = v128.load(set, 592);
      u3 = v128.xor(v128.load(set, 608), v128.load(set, 512));
      u01 = v128.xor(u0, u1);
      u23 = v128.xor(u2, u3);
      v128.store(set, v128.xor(v128.xor(u1, u23), v128.load(keys, 128)), 128);
      v128.store(set, v128.xor(v128.xor(u0, u23), v128.load(keys, 144)), 144);
      v128.store(set, v128.xor(v128.xor(u3, u01), v128.load(keys, 160)), 160);
      v128.store(set, v128.xor(v128.xor(u2, u01), v128.load(keys, 176)), 176);

      u0 = v128.load(set, 656);
      u1 = v128.xor(v128.load(set, 672), v128.load(set, 704));
      u2 = v128.load(set, 720);
      u3 = v128.xor(v128.load(set, 736), v128.load(set, 640));
      u01 = v128.xor(u0, u1);
      u23 = v128.xor(u2, u3);
      v128.store(set, v128.xor(v128.xor(u1, u23), v128.load(keys, 192)), 192);
      v128.store(set, v128.xor(v128.xor(u0, u23), v128.load(keys, 208)), 208);
      v128.store(set, v128.xor(v128.xor(u3, u01), v128.load(keys, 224)), 224);
      v128.store(set, v128.xor(v128.xor(u2, u01), v128.load(keys, 240)), 240);
    }
  }
}
