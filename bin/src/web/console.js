// The console: asks the server once a second, for as long as somebody looks, and shows what matters first.

import { Events, Refused, ask, token } from './console-ask.js';
import {
  SIGNS, STATES, addressOf, bits, bytes, media, millis, percent, plural, time, told,
} from './console-words.js';

const EVERY_MS = 1000;
/// Bit rates of a stream's line, and seconds of the chart.
const [PAST, CHART_S] = [60, 300];
const [SPARK_WIDTH, SPARK_HEIGHT] = [96, 22];
const [CHART_WIDTH, CHART_HEIGHT] = [600, 90];
/// Streams that are shown, and by how many more at a click.
const [STREAMS, MORE, MOST] = [50, 4, 1000];
const PLAYERS = 10;
const EVENTS = 200;
/// A loop that is busier answers late; one that is much busier sends late.
const [BUSY, TOO_BUSY] = [0.85, 0.95];
/// Nothing was heard for longer: the chart has a gap there, unless the server remembers.
const GAP_MS = 5000;
const FAR_BEHIND_MS = 2000;
/// Troubles that are told one by one.
const TOLD = 6;

const $ = id => document.getElementById(id);
const state = { sort: 'health', find: '', limit: STREAMS, of: null, flow: [], moved: [], rates: new Map(), events: [], timer: 0, look: 0 };

function text(element, value) {
  // What stays the same is left alone: screen readers would say it again.
  if (element.textContent !== value) element.textContent = value;
}

function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/// Brings rows in line with what there is: each keeps its elements, and so the focus.
function fill(body, items, keyOf, make, update) {
  const rows = new Map([...body.children].map(row => [row.dataset.key, row]));
  items.forEach((item, place) => {
    const key = keyOf(item);
    const row = rows.get(key) ?? make(item);
    rows.delete(key);
    row.dataset.key = key;
    update(row, item);
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  });
  rows.forEach(row => row.remove());
}

/// A row of a table: each cell has a title, which phones show, and one element.
function row(cells) {
  const made = element('tr');
  made.parts = {};
  for (const [title, part, name] of cells) {
    made.parts[name] = part;
    const cell = element('td', { 'data-title': title }, part);
    if (name === 'kick') cell.className = 'last';
    made.append(cell);
  }
  return made;
}

// ---- figures ----

function rateOf(summary, now) {
  const { flow, moved } = state;
  // Another run of the server, or much was missed: what is known is no beginning of what is now.
  if (moved.length > 0 && (summary.bytes_out < moved.at(-1).sent || now - moved.at(-1).at > GAP_MS)) moved.length = 0;
  moved.push({ at: now, came: summary.bytes_in, sent: summary.bytes_out });
  // Loops tell what they sent once a second, at different times: two seconds even that out.
  const first = moved.findLast(past => now - past.at >= 1900) ?? moved[0];
  while (moved[0] !== first) moved.shift();
  const seconds = (now - first.at) / 1000;
  const rate = (value, before) => (seconds > 0 ? (value - before) * 8 / seconds : null);
  const newest = {
    at: now,
    out: rate(summary.bytes_out, first.sent) ?? summary.gbit_out * 1e9,
    in: rate(summary.bytes_in, first.came) ?? summary.gbit_in * 1e9,
  };
  flow.push(newest);
  while (flow[0].at < now - CHART_S * 1000) flow.shift();
  return newest;
}

/// Whether the server has to be asked for what was not seen here: at first, and after a rest.
function misses(now) {
  return !(now - state.flow.at(-1)?.at <= GAP_MS);
}

/// What the server remembers takes the place of what was seen.
function remember({ flow }, now) {
  state.flow = flow.map(({ ago_ms: ago, bits_in: came, bits_out: sent }) => ({ at: now - ago, in: came, out: sent }));
}

/// A line through the rates; where nothing is known for a while there is none.
function path(flow, now, most, name) {
  let before = -Infinity;
  return flow.map(past => {
    const x = CHART_WIDTH - (now - past.at) / (CHART_S * 1000) * CHART_WIDTH;
    const y = CHART_HEIGHT - 2 - past[name] / most * (CHART_HEIGHT - 4);
    const step = past.at - before > GAP_MS ? 'M' : 'L';
    before = past.at;
    return `${step}${x.toFixed(1)},${y.toFixed(1)}`;
  }).join('');
}

function showFigures(summary, now) {
  const flow = rateOf(summary, now);
  text($('node'), `${summary.server}, Weir ${summary.version}`);
  text($('out'), bits(flow.out));
  text($('in'), bits(flow.in));
  text($('players'), summary.players.toLocaleString('en'));
  text($('streams-live'), summary.streams_live.toLocaleString('en'));
  text($('memory'), bytes(summary.memory.resident_bytes + summary.memory.log_bytes));
  text($('uptime'), time(summary.uptime_seconds));
  const most = Math.max(1e3, ...state.flow.map(past => Math.max(past.out, past.in)));
  $('line-out').setAttribute('d', path(state.flow, now, most, 'out'));
  $('line-in').setAttribute('d', path(state.flow, now, most, 'in'));
  text($('chart-most'), bits(most));
  $('chart').setAttribute('aria-label', `Throughput: ${bits(flow.out)} out, ${bits(flow.in)} in, most ${bits(most)}`);
  fill($('loops'), summary.loops.map((loop, place) => ({ ...loop, place })), ({ place }) => `${place}`, ({ place }) => {
    const meter = element('meter', { min: 0, max: 1, low: BUSY, high: TOO_BUSY, optimum: 0, 'aria-label': `Loop ${place}` });
    const made = element('li', {}, element('span', { textContent: `${place}` }), meter, element('span'), element('span', { className: 'soft' }));
    return made;
  }, (made, loop) => {
    const [, meter, share, players] = made.children;
    meter.value = Math.min(1, loop.busy);
    text(share, percent(loop.busy));
    text(players, plural(loop.players, 'player', 'players'));
  });
}

// ---- streams ----

function streamRow(stream) {
  const name = element('a', { className: 'name', href: `/watch/${addressOf(stream.id)}`, textContent: stream.id });
  name.setAttribute('aria-label', `Watch ${stream.id}`);
  const health = element('div', {}, element('span', { className: 'state' }), element('span', { className: 'why' }));
  const line = svg('polyline', {});
  const spark = svg('svg', { viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, 'aria-hidden': 'true' }, line);
  const rate = element('div', { className: 'rate' }, spark, element('span'));
  rate.line = line;
  const viewers = element('button', { type: 'button' });
  viewers.addEventListener('click', () => choose(stream));
  const kick = element('button', { type: 'button', textContent: 'End…', 'aria-label': `End the publisher of ${stream.id}` });
  kick.addEventListener('click', () => wish(
    `End the publisher of ${stream.id}?`,
    `Its connection is closed at once. Players wait for another publisher; an encoder that connects by itself comes back.`,
    `/api/v1/streams/${addressOf(stream.id)}`,
  ));
  return row([
    ['Stream', name, 'name'], ['Health', health, 'health'], ['Bit rate', rate, 'rate'], ['Viewers', viewers, 'viewers'],
    ['Media', element('div'), 'media'], ['Publisher', element('div'), 'publisher'], ['', kick, 'kick'],
  ]);
}

function updateStream({ parts }, stream) {
  const [level, sign] = STATES[stream.health.state] ?? ['notice', '?'];
  const [word, why] = parts.health.children;
  word.dataset.level = level;
  text(word, `${sign} ${stream.health.state}`);
  text(why, level === 'good' ? '' : stream.health.why);
  const rates = state.rates.get(stream.id) ?? [];
  const most = Math.max(1, ...rates);
  parts.rate.line.setAttribute('points', rates.map((rate, place) => {
    const x = SPARK_WIDTH - (rates.length - 1 - place) * (SPARK_WIDTH / (PAST - 1));
    return `${x.toFixed(1)},${(SPARK_HEIGHT - 2 - rate / most * (SPARK_HEIGHT - 4)).toFixed(1)}`;
  }).join(' '));
  text(parts.rate.lastChild, bits(stream.kbps.recv_now * 1000));
  text(parts.viewers, stream.viewers.total.toLocaleString('en'));
  const shown = `${plural(stream.viewers.total, 'viewer', 'viewers')}: show the slowest players of ${stream.id}`;
  if (parts.viewers.ariaLabel !== shown) parts.viewers.ariaLabel = shown;
  text(parts.media, media(stream));
  const { publish } = stream;
  text(parts.publisher, publish.active ? `${publish.protocol}${publish.address ? ` ${publish.address}` : ''}` : 'none');
  parts.kick.disabled = !publish.active;
}

function showStreams({ streams, total }) {
  const past = state.rates;
  state.rates = new Map(streams.map(({ id, kbps }) => {
    const rates = past.get(id) ?? [];
    rates.push(kbps.recv_now);
    if (rates.length > PAST) rates.shift();
    return [id, rates];
  }));
  fill($('streams'), streams, ({ id }) => id, streamRow, updateStream);
  text($('streams-shown'), streams.length < total ? `${streams.length} of ${total.toLocaleString('en')}` : '');
  $('more').hidden = streams.length >= total || state.limit >= MOST;
  $('none').hidden = total > 0 || !state.find;
  $('empty').hidden = total > 0 || Boolean(state.find);
}

// ---- players ----

function playerRow(client) {
  const kick = element('button', { type: 'button', textContent: 'End…', 'aria-label': `End the player ${client.address ?? client.id}` });
  kick.addEventListener('click', () => wish(
    `End the player ${client.address ?? client.id}?`,
    `It plays ${client.stream} by ${client.protocol}. Its connection is closed at once; it may come back.`,
    `/api/v1/clients/${client.id}`,
  ));
  const who = `${client.address ?? ''} ${client.protocol}, ${client.id}`.trim();
  return row([
    ['Player', element('div', { textContent: who }), 'who'], ['Stream', element('div', { textContent: client.stream }), 'stream'],
    ['Behind', element('div', { className: 'state' }), 'behind'], ['Skips', element('div'), 'skips'],
    ['Why', element('div'), 'why'], ['', kick, 'kick'],
  ]);
}

function updatePlayer({ parts }, client) {
  const lag = client.lag_ms;
  const level = lag === null ? 'good' : lag >= FAR_BEHIND_MS ? 'bad' : lag >= FAR_BEHIND_MS / 4 ? 'notice' : 'good';
  parts.behind.dataset.level = level;
  text(parts.behind, lag === null ? '–' : `${SIGNS[level]} ${millis(lag)}`);
  text(parts.skips, `${client.skips}`);
  text(parts.why, client.slow ?? '');
}

function showPlayers(players) {
  fill($('slow'), players, ({ id }) => id, playerRow, updatePlayer);
  $('nobody').hidden = players.length > 0;
  text($('nobody'), state.of ? 'Nobody plays it.' : 'Nobody plays.');
  text($('slow-of'), state.of ? `of ${state.of.id}` : 'of all streams');
  $('all').hidden = !state.of;
}

function choose(stream) {
  state.of = stream;
  look();
  $('slow-title').scrollIntoView({ block: 'nearest' });
}

// ---- how it goes ----

function troubles(summary, worst, slow) {
  const found = [];
  const add = (level, words) => found.push({ level, words });
  if (summary.draining) add('notice', 'The server drains: nobody new comes in.');
  summary.loops.forEach(({ busy }, place) => {
    if (busy >= BUSY) add(busy >= TOO_BUSY ? 'bad' : 'notice', `Loop ${place} is ${percent(busy)} busy: players are sent late.`);
  });
  for (const { id, health } of worst) {
    const [level] = STATES[health.state] ?? ['notice'];
    if (level !== 'good') add(level, `${id} is ${health.state}: ${health.why}.`);
  }
  const late = slow.filter(client => client.lag_ms >= FAR_BEHIND_MS);
  if (late.length > 0) {
    const count = late.length < PLAYERS ? plural(late.length, 'player is', 'players are') : `${PLAYERS} players or more are`;
    add('notice', `${count} more than ${FAR_BEHIND_MS / 1000} s behind; the slowest, ${late[0].address ?? late[0].id}: ${late[0].slow}.`);
  }
  return found.sort((a, b) => (b.level === 'bad') - (a.level === 'bad'));
}

function showVerdict(summary, found, worst) {
  const level = found[0]?.level ?? 'good';
  const busiest = Math.max(0, ...summary.loops.map(({ busy }) => busy));
  const figures = `${plural(summary.streams_live, 'stream', 'streams')} live, ${plural(summary.players, 'player', 'players')}`;
  const many = worst.length > TOLD ? 'At least ' : '';
  const headline = found.length > 0
    ? `${many}${plural(found.length, 'thing is', 'things are')} not well. ${figures}.`
    : `All is well. ${figures}, loops at most ${busiest >= 0.1 ? percent(Math.ceil(busiest * 10) / 10) : '10 %'} busy.`;
  verdict(level, headline, found.slice(0, TOLD).map(({ words }) => words));
  document.title = found.length > 0 ? `${SIGNS[level]} ${found.length} – Weir console` : 'Weir console';
}

function verdict(level, headline, words) {
  $('verdict').dataset.level = level;
  text($('sign'), SIGNS[level]);
  text($('headline'), headline);
  $('troubles').hidden = words.length === 0;
  fill($('troubles'), words.map((word, place) => ({ word, place })), ({ place }) => `${place}`, () => element('li'), (item, { word }) => text(item, word));
}

// ---- events ----

const events = new Events(event => {
  state.events.push(event);
  if (state.events.length > EVENTS) state.events.shift();
}, words => text($('listening'), words));

/// As many as came since the last look go into the page at once.
function showEvents() {
  const came = state.events.splice(0).map(event => {
    const [level, sign, words] = told(event);
    const at = new Date(event.time_ms);
    const item = element('li', {},
      element('time', { dateTime: at.toISOString(), textContent: at.toLocaleTimeString('en-GB') }),
      element('span', { textContent: sign, 'aria-hidden': 'true', 'data-level': level }),
      element('span', { textContent: words }));
    if (['play', 'stop'].includes(event.event)) item.className = 'comes';
    return item;
  });
  $('events').prepend(...came.reverse());
  while ($('events').children.length > EVENTS) $('events').lastChild.remove();
}

// ---- asking ----

async function look() {
  clearTimeout(state.timer);
  if (document.hidden || $('ask').open) return;
  state.look += 1;
  const mine = state.look;
  try {
    const { sort, find, limit, of } = state;
    const found = find ? `&search=${encodeURIComponent(find)}` : '';
    const only = of ? `&app=${encodeURIComponent(of.app)}&name=${encodeURIComponent(of.name)}` : '';
    const slowest = `/api/v1/clients?type=play&sort=lag&limit=${PLAYERS + 1}`;
    const [summary, streams, slow, worst, all, past] = await Promise.all([
      ask('/api/v1/summary'),
      ask(`/api/v1/streams?sort=${sort}&limit=${limit}${found}`),
      ask(slowest + only),
      sort === 'health' && !find ? null : ask(`/api/v1/streams?sort=health&limit=${TOLD + 1}`),
      of ? ask(slowest) : null,
      misses(performance.now()) ? ask('/api/v1/flow') : null,
    ]);
    // A later look is under way, with other wishes.
    if (mine !== state.look) return;
    const now = performance.now();
    if (past) remember(past, now);
    showFigures(summary, now);
    showStreams(streams);
    showPlayers(slow.clients.slice(0, PLAYERS));
    const bad = (worst ?? streams).streams.filter(({ health }) => STATES[health.state]?.[0] !== 'good').slice(0, TOLD + 1);
    showVerdict(summary, troubles(summary, bad, (all ?? slow).clients), bad);
    showEvents();
    events.start();
    $('forget').hidden = !token.get();
  } catch (error) {
    if (mine !== state.look) return;
    if (error.status === 401) {
      wantToken(error.message);
      return;
    }
    const who = error instanceof Refused ? 'The server refuses' : 'The server does not answer';
    verdict('bad', `${who}: ${error.message}`, []);
    document.title = '✖ Weir console';
  }
  state.timer = setTimeout(look, EVERY_MS);
}

function pause() {
  if (document.hidden) {
    clearTimeout(state.timer);
    events.stop();
  } else {
    look();
  }
}

// ---- the token ----

let asksAgain = null;

/// Asks for the token, then goes on; `again` is what wanted it.
function wantToken(why, again = null) {
  asksAgain = again;
  events.stop();
  text($('ask-why'), token.get() ? `The server says: ${why}.` : `Set in its config; the server says: ${why}.`);
  verdict('wait', 'The server wants its token', []);
  $('token').value = '';
  if (!$('ask').open) $('ask').showModal();
}

$('ask-form').addEventListener('submit', event => {
  event.preventDefault();
  token.set($('token').value.trim());
  $('ask').close();
});
$('ask').addEventListener('close', () => {
  const again = asksAgain;
  asksAgain = null;
  if (token.get()) {
    again?.();
    look();
  } else {
    verdict('bad', 'The server wants its token: load this page again to give it', []);
  }
});
$('forget').addEventListener('click', () => {
  token.forget();
  events.stop();
  look();
});

// ---- ending publishers and players ----

let wished = null;

function wish(title, what, path) {
  wished = { title, path };
  text($('kick-title'), title);
  text($('kick-what'), what);
  $('kick').showModal();
}

async function end({ title, path }) {
  try {
    await ask(path, 'DELETE');
    text($('done'), `Done: ${title.replace('?', '')}`);
  } catch (error) {
    if (error.status === 401) return wantToken(error.message, () => end({ title, path }));
    text($('done'), `Not done: ${error.message}`);
  }
  return look();
}

$('kick-no').addEventListener('click', () => $('kick').close());
$('kick-form').addEventListener('submit', event => {
  event.preventDefault();
  $('kick').close();
  end(wished);
});

// ---- how to publish ----

function tellHow() {
  const [scheme, port] = document.body.dataset.publish.split(':');
  $('closed').hidden = Boolean(port);
  $('how').hidden = !port;
  const usual = scheme === 'rtmp' && port === '1935' || scheme === 'rtmps' && port === '443';
  const server = `${scheme}://${location.hostname}${usual ? '' : `:${port}`}/live`;
  text($('server'), server);
  text($('url'), `${server}/talk`);
  text($('ffmpeg'), 'ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440 '
    + '-c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 2500k '
    + `-c:a aac -f flv ${server}/talk`);
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.setAttribute('aria-label', `Copy ${{ url: 'the URL', ffmpeg: 'the command', server: 'the server', key: 'the stream key' }[button.dataset.copy]}`);
  button.addEventListener('click', async () => {
    const code = $(button.dataset.copy);
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
}

$('sort').addEventListener('change', () => {
  state.sort = $('sort').value;
  look();
});
$('find').addEventListener('input', () => {
  state.find = $('find').value.trim();
  look();
});
$('more').addEventListener('click', () => {
  state.limit = Math.min(MOST, state.limit * MORE);
  look();
});
$('all').addEventListener('click', () => {
  state.of = null;
  look();
  $('slow-title').scrollIntoView({ block: 'nearest' });
});
$('comings').addEventListener('change', () => $('events').classList.toggle('quiet', !$('comings').checked));
document.addEventListener('visibilitychange', pause);

tellHow();
look();
