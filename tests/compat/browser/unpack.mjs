// Unpacks the browser of the npm package @sparticuz/chromium into a folder: the binary, the
// libraries it wants, its fonts.
//
// unpack.mjs <folder the package is installed in> <target folder>

import { createReadStream, createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const [installed, target] = process.argv.slice(2);
const packed = join(installed, "node_modules/@sparticuz/chromium/bin");
const tar = createRequire(join(installed, "package.json"))("tar-fs");
mkdirSync(target, { recursive: true });
const unpack = (name, to) =>
  pipeline(createReadStream(join(packed, name)), createBrotliDecompress(), to);
await unpack("chromium.br", createWriteStream(join(target, "chromium"), { mode: 0o755 }));
await unpack("al2023.tar.br", tar.extract(join(target, "libraries")));
await unpack("fonts.tar.br", tar.extract(join(target, "fonts")));
// Without any font it ends at its first page.
const folders = [join(target, "fonts"), "/usr/share/fonts"].map((folder) => `<dir>${folder}</dir>`);
writeFileSync(
  join(target, "fonts.conf"),
  `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${folders.join("")}` +
    `<cachedir>${join(target, "font-cache")}</cachedir></fontconfig>\n`,
);
