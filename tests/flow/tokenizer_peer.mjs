// Texts to try a tokenizer on, and what another implementation makes of them.
//
//   node tokenizer_peer.mjs texts             prints texts, each as a JSON string on a line
//   node tokenizer_peer.mjs encode PACKAGE DIR FILE    their ids, a JSON array a line
//
// PACKAGE is where @huggingface/tokenizers lies, DIR holds the tokenizer. Left out of the texts are
// the characters that are white space for JavaScript alone or not for it (U+FEFF, U+0085), since
// JavaScript runs the expression there.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

let state = 12345;

function below(n) { // a linear congruential generator, the high bits
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 4294967296) * n);
}

const ranges = [[0x20, 0x7f], [0x20, 0x7f], [0x61, 0x7b], [0x61, 0x7b], [0xa0, 0x180], [0x300, 0x345],
  [0x391, 0x3aa], [0x410, 0x450], [0x5d0, 0x5eb], [0x627, 0x64b], [0x905, 0x93a], [0x1e00, 0x1f00],
  [0x2000, 0x2010], [0x2013, 0x2027], [0x20a0, 0x20b0], [0x2160, 0x2189], [0x3040, 0x3097], [0x4e00, 0x9000],
  [0xac00, 0xd7a4], [0xff01, 0xff5f], [0x1d400, 0x1d455], [0x1f300, 0x1f5ff], [0x660, 0x66a]];
const words = [" the", "The", "'s", "'LL", "don't", " ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", " \n ", "...",
  "12345", "<think>", "</think>", "<|im_start|>", "<|im_end|>", "<|im_", "|>", "e\u0301", "\u00a0", "\u3000", "():",
  " reasoning", "struct pl_", "\u1e9b\u0323", "\ufb01", "\u2126", "\u0958", "\u1100\u1161\u11a8"];

function text() {
  let made = "";
  for (let n = 1 + below(40); n > 0; n--) {
    if (below(3) === 0) {
      made += words[below(words.length)];
    } else {
      const [from, end] = ranges[below(ranges.length)];
      const kind = below(4); // sometimes a run of one script, as text has it
      for (let k = kind === 0 ? below(8) : 1; k > 0; k--) made += String.fromCodePoint(from + below(end - from));
    }
  }
  return made;
}

const [, , action, from, dir, file] = process.argv;
if (action === "texts") {
  for (let i = 0; i < 3000; i++) console.log(JSON.stringify(text()));
} else {
  const { Tokenizer } = await import(pathToFileURL(from + "/dist/tokenizers.mjs"));
  const read = (name) => JSON.parse(readFileSync(dir + "/" + name, "utf8"));
  const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
  const lines = [];
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line) lines.push(JSON.stringify(tokenizer.encode(JSON.parse(line), { add_special_tokens: false }).ids));
  }
  console.log(lines.join("\n"));
}
