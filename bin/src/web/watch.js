// The watch page: what is around the picture.

import { Player } from './player.js';

const $ = id => document.getElementById(id);
const [video, stage] = [$('video'), $('stage')];

/// The stream's name, and its path as it has to stand in addresses.
const parts = location.pathname.split('/').slice(2).filter(part => part !== '').map(decodeURIComponent);
if (parts.length === 1) parts.unshift('live');
const name = parts.join('/');
const path = `/${parts.map(encodeURIComponent).join('/')}`;
const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
const player = new Player(video, {
  socket: `${scheme}//${location.host}${path}.mp4`,
  hls: `${path}.m3u8`,
});

/// What the page says over the picture.
const MESSAGES = {
  connecting: () => 'Connecting…',
  playing: () => '',
  waiting: () => 'Nothing comes from the publisher. It goes on when they are back.',
  offline: () => `Nobody publishes ${name} yet. It begins here when somebody does.`,
  over: () => 'The stream is over. It begins here when there is another one.',
  lost: () => 'The connection is lost. Trying again…',
  unplayable: detail => `This browser cannot play ${detail}.`,
};

$('name').textContent = name;
/// How long controls stay without a move, where there is a picture.
const IDLE_MS = 2500;
const VOLUME_STEP = 0.05;
const FACTS_MS = 500;

// ---- what is said ----

function showState() {
  const { name: state, detail } = player.state;
  const message = MESSAGES[state](detail);
  if ($('message').textContent !== message) $('message').textContent = message;
  stage.dataset.state = state;
  document.title = `${state === 'playing' ? '● ' : ''}${name} – Weir`;
}

const seconds = value => (value === undefined ? '–' : `${value.toFixed(2)} s`);

function bits(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} Mbit/s`;
  return `${Math.round(value / 1e3)} kbit/s`;
}

function facts() {
  const { totalVideoFrames: shown, droppedVideoFrames: dropped } = video.getVideoPlaybackQuality();
  const { connections, stalls, seeks } = player.counts;
  const codecs = player.tracks.map(({ codec, isPlayed }) => codec + (isPlayed ? '' : ' (not played)'));
  return [
    ['Behind live', seconds(player.latency)],
    ['Buffer', seconds(player.ahead)],
    ['Speed', `${video.playbackRate.toFixed(2)}×`],
    ['Pictures', `${shown}, ${dropped} dropped`],
    ['Size', video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–'],
    ['Codecs', codecs.join(', ') || '–'],
    ['Bit rate', bits(player.bitrate)],
    ['Stalls', `${stalls}, ${seeks} jumps`],
    ['Reconnects', `${Math.max(0, connections - 1)}`],
  ];
}

function showFacts() {
  const { latency } = player;
  const isPlaying = player.state.name === 'playing' && !video.paused;
  $('behind').textContent = isPlaying && latency !== undefined ? `${latency.toFixed(1)} s behind` : '';
  stage.classList.toggle('late', !isPlaying || latency > 3);
  if ($('facts').hidden) return;
  const rows = facts();
  while ($('facts').children.length < rows.length * 2) {
    $('facts').append(document.createElement('dt'), document.createElement('dd'));
  }
  rows.forEach(([title, value], row) => {
    const [dt, dd] = [$('facts').children[row * 2], $('facts').children[row * 2 + 1]];
    dt.textContent = title;
    dd.textContent = value;
  });
}

function showControls() {
  const label = (button, text, isOn) => {
    button.setAttribute('aria-label', text);
    button.classList.toggle('is-on', isOn);
  };
  label($('play'), video.paused ? 'Play' : 'Pause', !video.paused);
  const isQuiet = video.muted || video.volume === 0;
  label($('mute'), isQuiet ? 'Turn on sound' : 'Mute', !isQuiet);
  $('volume').value = Math.round(isQuiet ? 0 : video.volume * 100);
  if (!video.muted) $('unmute').hidden = true;
}

// ---- what is done ----

function setVolume(volume) {
  video.volume = Math.min(1, Math.max(0, volume));
  video.muted = video.volume === 0;
  remember();
}

function toggleMute() {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 0.5;
  remember();
}

/// Keeps the volume for the next visit, where the browser allows that.
function remember() {
  try {
    localStorage.setItem('volume', video.muted ? '0' : String(video.volume));
  } catch {
    // It begins with the browser's own then.
  }
}

function recall() {
  try {
    const volume = Number.parseFloat(localStorage.getItem('volume') ?? '1');
    if (volume > 0 && volume <= 1) video.volume = volume;
    else video.muted = true;
  } catch {
    // As above.
  }
}

async function toggleFull() {
  const leave = document.exitFullscreen ?? document.webkitExitFullscreen;
  const enter = stage.requestFullscreen ?? stage.webkitRequestFullscreen;
  const isFull = document.fullscreenElement ?? document.webkitFullscreenElement;
  try {
    if (isFull) await leave.call(document);
    else if (enter) await enter.call(stage);
    // A phone that has it for video alone.
    else video.webkitEnterFullscreen?.();
  } catch {
    // Refused by the browser: it stays as it is.
  }
}

function toggleFacts() {
  $('facts').hidden = !$('facts').hidden;
  $('info').setAttribute('aria-pressed', String(!$('facts').hidden));
  showFacts();
}

const KEYS = {
  ' ': () => player.toggle(),
  k: () => player.toggle(),
  m: toggleMute,
  f: toggleFull,
  i: toggleFacts,
  // Louder than nothing is as loud as before.
  ArrowUp: () => (video.muted ? toggleMute() : setVolume(video.volume + VOLUME_STEP)),
  ArrowDown: () => !video.muted && setVolume(video.volume - VOLUME_STEP),
};

addEventListener('keydown', event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  // A button that has the focus is pressed by space, and the slider is moved by arrows.
  const isOwn = event.target.closest?.('button, a') && event.key === ' '
    || event.target === $('volume') && event.key.startsWith('Arrow');
  wake();
  if (!act || isOwn || event.repeat && !event.key.startsWith('Arrow')) return;
  event.preventDefault();
  act();
});

let idle;
/// Shows the controls, and hides them again after a while.
function wake() {
  stage.classList.remove('idle');
  clearTimeout(idle);
  idle = setTimeout(() => {
    const isUsed = $('bar').matches(':hover') || $('bar').querySelector(':focus-visible');
    if (!video.paused && !isUsed) stage.classList.add('idle');
  }, IDLE_MS);
}

for (const kind of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(kind, wake);
// A click on the picture pauses it; a tap shows the controls.
let pointer = 'mouse';
video.addEventListener('pointerdown', event => {
  pointer = event.pointerType;
});
video.addEventListener('click', () => {
  if (pointer === 'mouse') player.toggle();
});
video.addEventListener('dblclick', toggleFull);
$('play').addEventListener('click', () => player.toggle());
$('mute').addEventListener('click', toggleMute);
$('unmute').addEventListener('click', toggleMute);
$('volume').addEventListener('input', () => setVolume($('volume').value / 100));
$('live').addEventListener('click', () => player.goLive());
$('info').addEventListener('click', toggleFacts);
$('full').addEventListener('click', toggleFull);
for (const kind of ['play', 'pause', 'playing', 'volumechange']) {
  video.addEventListener(kind, () => {
    showControls();
    wake();
  });
}
player.addEventListener('state', showState);
player.addEventListener('silenced', () => {
  $('unmute').hidden = false;
});
setInterval(showFacts, FACTS_MS);

recall();
showControls();
showState();
wake();
player.start();
