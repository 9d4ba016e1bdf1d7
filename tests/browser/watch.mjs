// Opens one of Weir's own pages in headless Chromium, as somebody would who has been given its address,
// and says what happens there, line by line:
//
//   node watch.mjs CHROMIUM watch URL       how the picture goes on (probe.js), until SIGTERM
//   node watch.mjs CHROMIUM keys URL        what each key does
//   node watch.mjs CHROMIUM front URL       what the front page says, each time it says something else
//
// What the browser complains of, and a second loading of the page, is told too.

import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const WITHIN_MS = 90_000;
const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

const [executablePath, way, url] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ARGUMENTS, handleSIGTERM: false });
let ending = false;
async function end(code) {
  ending = true;
  await browser.close();
  process.exit(code);
}
process.on('SIGTERM', () => end(0));
setTimeout(() => end(1), WITHIN_MS);

const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
page.on('console', message => {
  if (['warning', 'error'].includes(message.type())) console.log(`complaint: ${message.text()}`);
});
page.on('pageerror', error => console.log(`complaint: ${error.message}`));
page.on('request', request => {
  if (new URL(request.url()).host !== new URL(url).host && !request.url().startsWith('blob:')) {
    console.log(`complaint: asks ${request.url()}`);
  }
});
let loads = 0;
page.on('load', () => {
  loads += 1;
  if (loads > 1) console.log('complaint: loaded again');
});
let begun;
const begins = new Promise(told => {
  begun = told;
});
await page.exposeFunction('tell', line => {
  console.log(line);
  if (line.startsWith('playing')) begun();
});
const read = path => readFileSync(new URL(path, import.meta.url), 'utf8');
await page.addInitScript({ content: `{${read('clock.js')}${read('probe.js')}}` });
await page.goto(url);

/// What the keys changed.
const state = () => page.evaluate(() => {
  const video = document.querySelector('video');
  const { paused, muted, volume } = video;
  const shown = id => !document.getElementById(id).hidden;
  return {
    paused, muted, volume: Math.round(volume * 100), facts: shown('facts'), unmute: shown('unmute'),
    full: document.fullscreenElement?.id ?? '',
  };
});

async function keys() {
  const time = () => page.evaluate(() => document.querySelector('video').currentTime);
  // Until then nothing is asked of the page: the browser takes that for a touch, which allows sound.
  await begins;
  let before = await state();
  console.log(`begins muted=${before.muted} unmute=${before.unmute}`);
  const all = [
    'Space', 'Space', 'm', 'ArrowDown', 'ArrowUp', 'm', 'ArrowUp', 'i', 'i', 'f', 'f', 'Control+m',
  ];
  for (const key of all) {
    await page.keyboard.press(key);
    await page.waitForTimeout(400);
    const after = await state();
    const changed = Object.keys(after).filter(name => after[name] !== before[name]);
    console.log(`${key}: ${changed.map(name => `${name}=${after[name]}`).join(' ')}`);
    before = after;
  }
  await page.keyboard.press('i');
  const since = await time();
  await page.waitForTimeout(1500);
  console.log(`with sound it goes on: ${await time() - since > 1}`);
  const facts = await page.locator('#facts').innerText();
  console.log(`facts ${facts.replaceAll('\n', ' ')}`);
  // Every control says what it is.
  const names = await page.locator('button:visible, input:visible').evaluateAll(all =>
    all.map(one => one.getAttribute('aria-label') ?? one.textContent));
  console.log(`controls ${names.join(', ')}`);
  await end(0);
}

async function front() {
  for (let said = ''; !ending;) {
    const text = (await page.locator('main').innerText()).replaceAll(/\s+/g, ' ');
    if (text !== said) console.log(`front ${text}`);
    said = text;
    await new Promise(later => setTimeout(later, 200));
  }
}

try {
  if (way === 'keys') await keys();
  if (way === 'front') await front();
} catch (error) {
  // A page that is closed answers no question.
  if (!ending) throw error;
}
