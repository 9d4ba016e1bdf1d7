// How Weir's page names the codecs of init segments, one a line: node codecs.mjs FILE...

import { readFileSync } from 'node:fs';
import { isInit, readInit } from '../../bin/src/web/mp4.js';

for (const path of process.argv.slice(2)) {
  const bytes = readFileSync(path);
  const message = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  if (!isInit(message)) throw new Error(`${path} is no init segment`);
  const tracks = readInit(message);
  // What it makes for each track alone reads the same.
  for (const { id, codec, init } of tracks) {
    const alone = readInit(init.buffer);
    if (alone.length !== 1 || alone[0].id !== id || alone[0].codec !== codec) {
      throw new Error(`${path}: track ${id} alone is ${JSON.stringify(alone)}`);
    }
  }
  console.log(tracks.map(({ codec, width, height }) =>
    (width ? `${codec} ${width}x${height}` : codec)).join(' + '));
}
