// Operates the console in headless Chromium and says what it shows, line by line:
//
//   node console.mjs CHROMIUM WAY URL [PNG]
//
// WAY is one of the functions below. Ends with 0 when it went through, with 1 at the first thing that
// is not as it should be.

import { chromium } from 'playwright-core';

const WITHIN_MS = 45_000;
const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

const [executablePath, way, url, picture] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
setTimeout(async () => {
  console.log(`failed: no end within ${WITHIN_MS / 1000} s`);
  await browser.close();
  process.exit(1);
}, WITHIN_MS);

const context = await browser.newContext({
  viewport: { width: 1280, height: 800 }, permissions: ['clipboard-read', 'clipboard-write'],
});
const page = await context.newPage();
page.setDefaultTimeout(15_000);
page.on('console', message => {
  if (['warning', 'error'].includes(message.type())) console.log(`complaint: ${message.text()}`);
});
page.on('pageerror', error => console.log(`complaint: ${error.message}`));
page.on('request', request => {
  if (!request.url().startsWith(new URL(url).origin)) console.log(`complaint: asks ${request.url()}`);
});

const say = words => console.log(words);
const row = name => page.locator(`#streams tr[data-key="${name}"]`);

function hold(is, words) {
  if (!is) throw new Error(words);
}

/// Waits until an element says this.
async function until(locator, words) {
  await locator.filter({ hasText: words }).first().waitFor();
}

/// How far two colours differ, as WCAG counts.
function contrast(...colours) {
  const [a, b] = colours.map(colour => {
    const [red, green, blue] = colour.match(/[\d.]+/g).map(part => {
      const share = Number(part) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }).sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}

/// Everything that can be read, against what is behind it; and every control has a name.
async function legible(scheme) {
  await page.emulateMedia({ colorScheme: scheme });
  const { back, texts, nameless } = await page.evaluate(() => {
    const behind = element => {
      for (let at = element; at; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor;
        if (!/, 0\)$/.test(colour)) return colour;
      }
      return 'rgb(255, 255, 255)';
    };
    const shown = [...document.querySelectorAll('main *, header *, footer *')].filter(element => (
      element.checkVisibility() && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())));
    const controls = [...document.querySelectorAll('button, a, select, input, meter')].filter(element => element.checkVisibility());
    return {
      back: getComputedStyle(document.body).backgroundColor,
      texts: shown.filter(element => !element.disabled)
        .map(element => [element.textContent.trim(), getComputedStyle(element).color, behind(element)]),
      nameless: controls.filter(element => !(element.ariaLabel || element.textContent.trim() || element.labels?.length))
        .map(element => element.outerHTML),
    };
  });
  hold(nameless.length === 0, `without a name: ${nameless}`);
  hold(texts.length > 20, 'there is something to read');
  for (const [text, colour, behind] of texts) {
    const is = contrast(colour, behind);
    hold(is >= 4.5, `${scheme}: ${text} is ${colour} on ${behind}, ${is.toFixed(1)}`);
  }
  return back;
}

const ways = {
  /// A server with the test card and one player.
  async operate() {
    await page.goto(url);
    await until(row('live/demo'), 'demo');
    await until(row('live/demo').locator('[data-title="Viewers"] button'), /^1$/);
    await until(row('live/demo').locator('.state'), 'good');
    await until(page.locator('#headline'), 'All is well. 1 stream live, 1 player');
    const watch = await row('live/demo').locator('a').getAttribute('href');
    hold(watch === '/watch/live/demo', watch);
    hold(await page.locator('#empty').isHidden(), 'it is not empty');
    await until(page.locator('#events'), 'live/demo is published by demo');
    await until(page.locator('#loops'), '1 player');
    await page.waitForFunction(() => (document.querySelector('#line-out').getAttribute('d') ?? '').split('L').length > 3);
    say('all is well');

    const [light, dark] = [await legible('light'), await legible('dark')];
    hold(light !== dark, 'light and dark differ');
    await page.setViewportSize({ width: 360, height: 740 });
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
    hold(wide <= 360, `${wide} pixels wide on a phone`);
    await page.setViewportSize({ width: 1280, height: 800 });
    say('light, dark, and narrow');

    await page.getByLabel('Find').fill('nothing like it');
    await until(page.locator('#none'), 'No stream');
    await row('live/demo').waitFor({ state: 'detached' });
    hold(await page.locator('#empty').isHidden(), 'something is published');
    hold((await page.locator('#headline').textContent()).startsWith('All is well'), 'what is well does not depend on it');
    await page.getByLabel('Find').fill('DEM');
    await row('live/demo').waitFor();
    hold(await page.locator('#none').isHidden(), 'it is found');
    await page.getByLabel('Find').fill('');
    say('found');

    // Nobody looks: nothing is asked.
    const hide = hidden => page.evaluate(is => {
      Object.defineProperty(document, 'hidden', { value: is, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await hide(true);
    await page.waitForTimeout(500);
    let asked = 0;
    const count = () => { asked += 1; };
    page.on('request', count);
    await page.waitForTimeout(2500);
    hold(asked === 0, `${asked} questions while hidden`);
    await hide(false);
    await page.waitForTimeout(1500);
    hold(asked >= 3, `${asked} questions once shown`);
    page.off('request', count);
    say('rests while hidden');

    // By keyboard alone.
    await row('live/demo').locator('[data-title="Viewers"] button').press('Enter');
    await until(page.locator('#slow-of'), 'of live/demo');
    const player = page.locator('#slow button');
    await player.focus();
    await page.keyboard.press('Enter');
    await until(page.locator('#kick-title'), 'End the player 127.0.0.1');
    hold(await page.evaluate(() => document.activeElement.id) === 'kick-no', 'Cancel has the focus');
    await page.keyboard.press('Escape');
    hold(await page.locator('#kick').isHidden(), 'it is closed');
    await page.waitForTimeout(1200);
    hold(await player.count() === 1, 'the player is there');
    hold(await page.evaluate(() => document.activeElement.textContent) === 'End…', 'the focus is where it was');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    hold(await page.locator('#kick').isHidden() && await player.count() === 1, 'cancelled');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await until(page.locator('#done'), 'Done: End the player');
    await player.waitFor({ state: 'detached' });
    await until(page.locator('#events'), 'plays live/demo no more');
    say('player ended');

    await row('live/demo').getByRole('button', { name: 'End the publisher of live/demo' }).click();
    await page.locator('#kick-yes').click();
    await until(row('live/demo').locator('.state'), 'away');
    await until(page.locator('#headline'), '1 thing is not well');
    await until(page.locator('#troubles'), 'live/demo is away');
    await until(page.locator('#events'), 'its publisher ended');
    await legible('light');
    await legible('dark');
    say('publisher ended');

    // Whoever looks anew sees the last minutes at once, and no gap in them.
    await page.goto(url);
    await until(page.locator('#headline'), 'not well');
    const line = await page.locator('#line-out').getAttribute('d');
    hold(line.split('L').length > 6 && line.lastIndexOf('M') === 0, `the last minutes: ${line}`);
    say('remembered');
  },

  /// A server with the test card, which one fetches as segments.
  async segments() {
    const fetched = await fetch(new URL('/live/demo/ts.m3u8', url));
    hold(fetched.status === 200, `${fetched.status}`);
    await page.goto(url);
    await until(page.locator('#headline'), '1 stream live, 1 player');
    await until(page.locator('#slow'), 'it fetches segments');
    hold(await page.locator('#slow .state').textContent() === '–', 'how far behind it is nobody knows');
    say('counted');
  },

  /// A server on which somebody publishes live/talk, when this page says so.
  async begin() {
    await page.goto(url);
    await page.locator('#empty').waitFor();
    await until(page.locator('#headline'), 'All is well. 0 streams');
    const shown = await page.locator('#url').textContent();
    await page.getByRole('button', { name: 'Copy the URL' }).click();
    await until(page.locator('[data-copy="url"]'), 'Copied');
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    hold(copied === shown, copied);
    hold((await page.locator('#ffmpeg').textContent()).endsWith(`-f flv ${shown}`), 'the command');
    hold(`${await page.locator('#server').textContent()}/${await page.locator('#key').textContent()}` === shown, 'OBS');
    await legible('light');
    await legible('dark');
    say(`empty ${shown}`);
    await until(row('live/talk'), 'talk');
    hold(await page.locator('#empty').isHidden(), 'no longer empty');
    say('begun');
  },

  /// A server with the token "right-and-long-enough".
  async token() {
    await page.goto(url);
    for (const [given, why] of [['wrong', 'needs a token'], ['right-and-long-enough', 'the token is wrong']]) {
      await until(page.locator('#ask-why'), why);
      await page.locator('#token').fill(given);
      await page.keyboard.press('Enter');
    }
    await until(row('live/demo'), 'demo');
    await until(page.locator('#listening'), /^listening/);
    await until(page.locator('#events'), 'is published');
    hold(await page.locator('#ask').isHidden(), 'it does not ask again');
    hold(!page.url().includes('right-and'), 'the token is in no address');
    await page.reload();
    await until(row('live/demo'), 'demo');
    say('known');
    await page.getByRole('button', { name: 'Forget the token' }).click();
    await page.locator('#ask').waitFor();
    say('forgotten');
  },

  /// A server that ends, and comes back at the same place.
  async restart() {
    await page.goto(url);
    await until(row('live/demo'), 'demo');
    await until(page.locator('#listening'), /^listening/);
    say('there');
    await until(page.locator('#headline'), 'The server does not answer');
    say('gone');
    await until(page.locator('#headline'), 'All is well');
    await until(page.locator('#listening'), /^listening/);
    await page.waitForFunction(() => document.querySelector('#events').textContent.split('is published').length > 2);
    say('back');
  },

  /// Names that try to be markup, in everything the server tells.
  async hostile() {
    const evil = '"><img src=/healthz onerror=alert(1)><script>alert(2)</script>';
    await page.route(/\/api\/v1\/(summary|streams|clients)/, async route => {
      const answer = await route.fetch();
      const text = await answer.text();
      const told = JSON.stringify(evil).slice(1, -1);
      await route.fulfill({
        response: answer,
        body: text.replaceAll('live/demo', told).replaceAll('"protocol":"demo"', `"protocol":"${told}"`)
          .replace(/"server":"[^"]*"/, `"server":"${told}"`),
      });
    });
    await page.goto(url);
    await until(page.locator('#streams'), evil);
    await until(page.locator('#node'), evil);
    await page.locator('#streams button').last().click();
    await until(page.locator('#kick-title'), evil);
    hold(await page.locator('main img, main script').count() === 0, 'a name became an element');
    say('shown as text');
  },

  /// Takes the picture of the README, once there is something to see.
  async picture() {
    await page.setViewportSize({ width: 1200, height: 860 });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(url);
    await row('live/demo').waitFor();
    await page.waitForTimeout(30_000);
    await page.screenshot({ path: picture });
  },
};

try {
  await ways[way]();
  say('complete');
  await browser.close();
} catch (error) {
  say(`failed: ${error.message}`);
  if (picture) await page.screenshot({ path: picture });
  await browser.close();
  process.exit(1);
}
process.exit(0);
