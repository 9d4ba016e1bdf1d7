// Looks over the shoulder of Weir's own pages: how the picture goes on, told line by line by tell(),
// which the driver provides. The page itself knows nothing of it.

// Every time a picture of one size has been played for so long, it is told.
const SECONDS = 3;
// A larger step from one picture to the next is no playing but a seek.
const STEP = 0.5;

let opened;
let first;
let stalls = 0;
globalThis.WebSocket = class extends WebSocket {
  constructor(...all) {
    super(...all);
    this.addEventListener('open', () => {
      opened ??= performance.now();
    });
  }
};

const now = { size: '' };
function begin(size, at) {
  Object.assign(now, {
    size, at, wall: performance.now(), played: 0, gap: 0, latencies: [], frames: 0, stalls,
  });
}

function presented(video, time, { mediaTime }) {
  video.requestVideoFrameCallback((...all) => presented(video, ...all));
  first ??= Math.round(performance.now() - opened);
  const size = `${video.videoWidth}x${video.videoHeight}`;
  if (now.size !== size) begin(size, mediaTime);
  const [step, wall] = [mediaTime - now.at, performance.now()];
  if (step > 0 && step < STEP) {
    now.played += step;
    now.gap = Math.max(now.gap, wall - now.wall);
  }
  Object.assign(now, { at: mediaTime, wall, frames: now.frames + 1 });
  const clock = readClock(video);
  if (clock !== undefined) now.latencies.push(Date.now() - clock);
  if (now.played < SECONDS) return;
  const latencies = now.latencies.sort((a, b) => a - b);
  const latency = latencies[latencies.length >> 1] ?? -1;
  tell(`playing size=${size} first_picture_ms=${first} frames=${now.frames}`
    + ` stalls=${stalls - now.stalls} gap_ms=${Math.round(now.gap)} clocks=${latencies.length}`
    + ` latency_ms=${latency} latency_most_ms=${latencies.at(-1) ?? -1}`);
  begin(size, mediaTime);
}

addEventListener('DOMContentLoaded', () => {
  const video = document.querySelector('video');
  if (!video) return;
  let plays = false;
  video.addEventListener('playing', () => {
    plays = true;
  });
  video.addEventListener('emptied', () => {
    plays = false;
  });
  video.addEventListener('waiting', () => {
    if (plays && !video.seeking) stalls += 1;
  });
  video.requestVideoFrameCallback((...all) => presented(video, ...all));
  const message = document.getElementById('message');
  new MutationObserver(() => tell(`says ${message.textContent || 'nothing'}`))
    .observe(message, { childList: true });
});
