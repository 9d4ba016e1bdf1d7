// Opens page.html in headless Chromium and says what happens there, line by line:
//
//   node play.mjs CHROMIUM play URL [PNG]   plays an FLV stream (http: or ws:) until it is over;
//                                           the first time it plays, takes a picture of the page
//   node play.mjs CHROMIUM ask URL          HEAD, OPTIONS and GET by fetch()
//   node play.mjs CHROMIUM glance URL       a fetch() whose answer the page does not read, then play
//
// The page comes from a port of its own, so that every stream is one of another origin. Ends with 0 when
// the stream is over, with 1 when playing failed. SIGTERM closes the browser.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const WITHIN_MS = 60_000;
const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

const [executablePath, way, url, picture] = process.argv.slice(2);

const read = path => readFileSync(new URL(path, import.meta.url), 'utf8');
const files = {
  '/': ['text/html', read('page.html')],
  '/clock.js': ['text/javascript', read('clock.js')],
  '/mpegts.js': ['text/javascript', read('node_modules/mpegts.js/dist/mpegts.js')],
  '/favicon.ico': ['image/x-icon', ''],
};
const server = createServer((request, response) => {
  const [type, content] = files[new URL(request.url, 'http://page').pathname] ?? [];
  response.writeHead(type ? 200 : 404, { 'Content-Type': type ?? 'text/plain' }).end(content);
});
await new Promise(listening => server.listen(0, '127.0.0.1', listening));

const browser = await chromium.launch({
  executablePath, args: ARGUMENTS, handleSIGTERM: false,
});
let ending = false;
async function end(code) {
  if (ending) return;
  ending = true;
  await browser.close();
  process.exit(code);
}
process.on('SIGTERM', () => end(0));
setTimeout(() => {
  console.log(`failed: no end within ${WITHIN_MS / 1000} s`);
  end(1);
}, WITHIN_MS);

const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
page.on('console', message => {
  if (['warning', 'error'].includes(message.type())) {
    console.log(`complaint: ${message.text()}`);
  }
});
page.on('pageerror', error => {
  console.log(`failed page: ${error.message}`);
  end(1);
});
let wanted = picture;
await page.exposeFunction('tell', async line => {
  if (wanted && line.startsWith('playing')) {
    await page.screenshot({ path: wanted });
    wanted = undefined;
  }
  console.log(line);
  if (line === 'complete') await end(0);
  if (line.startsWith('failed')) await end(1);
});
const wish = new URLSearchParams({ way, url });
await page.goto(`http://127.0.0.1:${server.address().port}/?${wish}`);
