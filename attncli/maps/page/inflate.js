// Inflate (RFC 1951). The browser has one, but only as a stream to be waited for; a head that is looked at is needed now.

const EXTRA_LENGTHS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const EXTRA_DISTANCES = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const starts = (extras, first) => extras.map((_, i) => extras.slice(0, i).reduce((sum, bits) => sum + (1 << bits), first));
const LENGTHS = starts(EXTRA_LENGTHS, 3), DISTANCES = starts(EXTRA_DISTANCES, 1);
LENGTHS[28] = 258;

/** For every 15 bits that may come next: 16 times the symbol they begin with, and how many bits that is. */
function codebook(lengths) {
  const book = new Uint16Array(1 << 15);
  let code = 0;
  for (let bits = 1; bits <= 15; bits++) {
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== bits) continue;
      let mirrored = 0;
      for (let i = 0; i < bits; i++) mirrored |= ((code >> i) & 1) << (bits - 1 - i);
      for (let at = mirrored; at < book.length; at += 1 << bits) book[at] = (symbol << 4) | bits;
      code++;
    }
    code <<= 1;
  }
  return book;
}

let fixed = null;

function fixedBooks() {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  fixed ??= [codebook(lengths), codebook(new Array(30).fill(5))];
  return fixed;
}

/** `size` bytes from deflated ones. */
function inflate(input, size) {
  const out = new Uint8Array(size);
  let at = 0, place = 0, held = 0, count = 0;
  const need = (bits) => {
    while (count < bits) {
      held |= input[place++] << count;
      count += 8;
    }
  };
  const take = (bits) => {
    need(bits);
    const value = held & ((1 << bits) - 1);
    held >>>= bits;
    count -= bits;
    return value;
  };
  const symbol = (book) => {
    need(15);
    const found = book[held & 32767];
    held >>>= found & 15;
    count -= found & 15;
    return found >> 4;
  };
  const readBooks = () => {
    const literals = take(5) + 257, distances = take(5) + 1, coded = take(4) + 4, meta = new Uint8Array(19);
    for (let i = 0; i < coded; i++) meta[ORDER[i]] = take(3);
    const book = codebook(meta), lengths = new Uint8Array(literals + distances);
    for (let i = 0; i < lengths.length;) {
      const code = symbol(book);
      if (code < 16) lengths[i++] = code;
      else {
        const value = code === 16 ? lengths[i - 1] : 0;
        const last = i + (code === 16 ? 3 + take(2) : code === 17 ? 3 + take(3) : 11 + take(7));
        while (i < last) lengths[i++] = value;
      }
    }
    return [codebook(lengths.subarray(0, literals)), codebook(lengths.subarray(literals))];
  };
  const block = ([literals, distances]) => {
    for (let code = symbol(literals); code !== 256; code = symbol(literals)) {
      if (code < 256) out[at++] = code;
      else {
        const length = LENGTHS[code - 257] + take(EXTRA_LENGTHS[code - 257]);
        const distance = symbol(distances), from = at - DISTANCES[distance] - take(EXTRA_DISTANCES[distance]);
        for (let i = 0; i < length; i++) out[at++] = out[from + i];
      }
    }
  };
  for (let last = 0; !last;) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) {
      take(count & 7);
      const length = take(16);
      take(16);
      for (let i = 0; i < length; i++) out[at++] = take(8);
    } else block(kind === 1 ? fixedBooks() : readBooks());
  }
  return out;
}
