// Opens players.html in headless Chromium and says what happens there, line by line:
//
//   node players.mjs CHROMIUM BASE SECONDS PLAYER...
//
// BASE is a stream's address without its extension, where HOST stands for a name of this machine
// (http://HOST:PORT/live/NAME). Every PLAYER of players.html plays it at the same time; each is told of whenever it
// has played for SECONDS without a stall. SIGTERM closes the browser.
//
// The page comes from a port of its own, so that every stream is one of another origin.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

const [executablePath, base, seconds, ...players] = process.argv.slice(2);

const read = path => readFileSync(new URL(path, import.meta.url));
const script = path => ['text/javascript', read(`node_modules/${path}`)];
const files = {
  '/': ['text/html', read('players.html')],
  '/hls.js': script('hls.js/dist/hls.min.js'),
  '/mpegts.js': script('mpegts.js/dist/mpegts.js'),
  '/shaka.js': script('shaka-player/dist/shaka-player.compiled.js'),
  '/dash.js': script('dashjs/dist/modern/umd/dash.all.min.js'),
  '/favicon.ico': ['image/x-icon', ''],
};
const server = createServer((request, response) => {
  const [type, content] = files[new URL(request.url, 'http://page').pathname] ?? [];
  response.writeHead(type ? 200 : 404, { 'Content-Type': type ?? 'text/plain' }).end(content);
});
await new Promise(listening => server.listen(0, '127.0.0.1', listening));

const browser = await chromium.launch({ executablePath, args: ARGUMENTS, handleSIGTERM: false });
process.on('SIGTERM', async () => {
  await browser.close();
  process.exit(0);
});
const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
page.on('console', message => {
  if (['warning', 'error'].includes(message.type())) {
    console.log(`console: ${message.text()}`);
  }
});
page.on('pageerror', error => console.log(`console: ${error.message}`));
await page.exposeFunction('tell', line => console.log(line));
const wish = new URLSearchParams({ base, seconds, players });
await page.goto(`http://127.0.0.1:${server.address().port}/?${wish}`, { waitUntil: 'commit' });
