// The front page: what is live now, and how to publish where nothing is.

const $ = id => document.getElementById(id);
const EVERY_MS = 2000;
/// Bit rates that a stream's line shows.
const PAST = 30;
/// A line's box.
const [WIDTH, HEIGHT] = [120, 28];

/// What is known of each stream: its bit rates of late, its place in the page.
const known = new Map();
let looks = 0;

const addressOf = name => `/${name.split('/').map(encodeURIComponent).join('/')}`;

function bits(value) {
  return value >= 1e6 ? `${(value / 1e6).toFixed(1)} Mbit/s` : `${Math.round(value / 1e3)} kbit/s`;
}

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

function element(tag, kind, text = '') {
  const made = document.createElement(tag);
  made.className = kind;
  made.textContent = text;
  return made;
}

/// A stream's entry in the list.
function card(name) {
  const item = element('li', 'card');
  const link = element('a', 'title', name);
  link.href = `/watch${addressOf(name)}`;
  const about = element('p', 'about');
  const figures = element('p', 'figures');
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  svg.append(line);
  const others = element('p', 'others');
  for (const [title, extension] of [['HLS', 'm3u8'], ['DASH', 'mpd'], ['FLV', 'flv'], ['TS', 'ts'], ['MP4', 'mp4']]) {
    const other = element('a', '', title);
    other.href = `${addressOf(name)}.${extension}`;
    other.setAttribute('aria-label', `${name} as ${title}`);
    others.append(other);
  }
  item.append(link, svg, about, figures, others);
  return { item, about, figures, line, rates: [] };
}

function tracks({ video, audio }) {
  const words = [];
  if (video) {
    words.push(video.codec);
    if (video.width && video.height) words.push(`${video.width} × ${video.height}`);
    if (video.frame_rate) words.push(`${Math.round(video.frame_rate * 100) / 100} pictures/s`);
  }
  if (audio) {
    words.push(audio.codec);
    if (audio.sample_rate) words.push(`${audio.sample_rate / 1000} kHz`);
  }
  return words.join(' · ') || 'waiting for the first picture';
}

/// The bit rates of late as a line.
function draw(line, rates) {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, place) => {
    const x = WIDTH - (rates.length - 1 - place) * (WIDTH / (PAST - 1));
    const y = HEIGHT - 2 - rate / most * (HEIGHT - 4);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  line.setAttribute('points', points.join(' '));
}

function show({ rtmp_port: port, streams: told }) {
  // A server may keep that to itself.
  const streams = told ?? [];
  $('secret').hidden = told !== null;
  const names = new Set(streams.map(({ name }) => name));
  for (const [name, { item }] of known) {
    if (names.has(name)) continue;
    item.remove();
    known.delete(name);
  }
  for (const stream of streams) {
    const entry = known.get(stream.name) ?? card(stream.name);
    entry.rates.push(stream.kbps * 1000);
    if (entry.rates.length > PAST) entry.rates.shift();
    known.set(stream.name, entry);
    entry.item.classList.toggle('away', !stream.live);
    entry.about.textContent = stream.live ? tracks(stream) : 'the publisher is away';
    const viewers = plural(stream.viewers, 'viewer', 'viewers');
    entry.figures.textContent = `${viewers} · ${bits(entry.rates.at(-1))}`;
    draw(entry.line, entry.rates);
  }
  // In their order, and moved only where that has changed: a link keeps the focus.
  streams.forEach(({ name }, place) => {
    const { item } = known.get(name);
    if ($('streams').children[place] !== item) {
      $('streams').insertBefore(item, $('streams').children[place] ?? null);
    }
  });
  const viewers = streams.reduce((sum, stream) => sum + stream.viewers, 0);
  const count = told === null ? '' : `${plural(streams.length, 'stream', 'streams')}, ${plural(viewers, 'viewer', 'viewers')}`;
  if ($('count').textContent !== count) $('count').textContent = count;
  $('empty').hidden = told === null || streams.length > 0;
  if (looks === 0) $('how').open = streams.length === 0;
  tellHow(port);
}

/// How to publish here, for whoever reads this page.
function tellHow(port) {
  $('how').hidden = port === null;
  if (port === null) return;
  const host = location.hostname + (port === 1935 ? '' : `:${port}`);
  const server = `rtmp://${host}/live`;
  const texts = {
    server,
    url: `${server}/talk`,
    ffmpeg: 'ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440 '
      + '-c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 2500k '
      + `-c:a aac -f flv ${server}/talk`,
    file: `ffmpeg -re -i film.mp4 -c copy -f flv ${server}/talk`,
  };
  for (const [id, text] of Object.entries(texts)) {
    if ($(id).textContent !== text) $(id).textContent = text;
  }
}

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch('/live.json', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`the server says ${answer.status}`);
      show(await answer.json());
      looks += 1;
      $('trouble').hidden = true;
    } catch (error) {
      $('trouble').textContent = `The server cannot be asked (${error.message}). Trying again…`;
      $('trouble').hidden = false;
    }
  }
  setTimeout(look, EVERY_MS);
}

/// A button beside everything that is to be copied, where the browser lets a page copy.
for (const place of document.querySelectorAll('.copy')) {
  const button = element('button', '', 'Copy');
  button.type = 'button';
  button.addEventListener('click', async () => {
    const code = place.querySelector('code');
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = 'Copied';
      setTimeout(() => {
        button.textContent = 'Copy';
      }, 1500);
    } catch {
      // Over plain HTTP from elsewhere there is no clipboard: it is marked, to be copied by hand.
      getSelection().selectAllChildren(code);
    }
  });
  place.append(button);
}

look();
