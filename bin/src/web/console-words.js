// Figures and events in words, and signs beside them: no colour means anything alone.

/// How loud each state of a stream is, and its sign.
export const STATES = {
  good: ['good', '✔'], new: ['good', '…'], unsteady: ['notice', '≈'],
  starving: ['bad', '▼'], silent: ['bad', '✖'], away: ['bad', '✖'],
};
export const SIGNS = { good: '✔', notice: '!', bad: '✖', wait: '…' };

export const plural = (count, one, many) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;

export function bits(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} Gbit/s`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(value / 1e3)} kbit/s`;
}

export function bytes(value) {
  if (value >= 1 << 30) return `${(value / (1 << 30)).toFixed(1)} GiB`;
  return value >= 1 << 20 ? `${Math.round(value / (1 << 20))} MiB` : `${Math.round(value / 1024)} KiB`;
}

export function time(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = Math.max(0, parts.findIndex(([unit]) => seconds >= unit));
  let rest = Math.max(0, Math.floor(seconds));
  const words = parts.slice(first === 0 && seconds < 1 ? 3 : first).slice(0, 2).map(([unit, name]) => {
    const count = Math.floor(rest / unit);
    rest -= count * unit;
    return `${count} ${name}`;
  });
  return words.join(' ');
}

export const millis = value => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value} ms`);
export const percent = share => `${Math.round(share * 100)} %`;
export const addressOf = name => name.split('/').map(encodeURIComponent).join('/');

export function media({ video, audio }) {
  const words = [];
  if (video) {
    words.push(video.codec);
    if (video.width && video.height) words.push(`${video.width}×${video.height}`);
    words.push(`${Math.round(video.frame_rate * 10) / 10} fps`);
    if (video.gop_ms) words.push(`GOP ${(video.gop_ms / 1000).toFixed(1)} s`);
  }
  if (audio) words.push(audio.codec);
  return words.join(', ') || 'nothing known yet';
}

/// What happened: how loud, with which sign, in which words.
export function told(event) {
  const who = event.address ?? event.client ?? '';
  const after = `after ${time(event.seconds ?? 0)}`;
  const skipped = event.skips ? `, skipped ${plural(event.skips, 'time', 'times')}` : '';
  switch (event.event) {
    case 'publish':
      return ['good', '▶', `${event.stream} is published by ${event.protocol}${who && ` from ${who}`}`];
    case 'unpublish':
      return ['notice', '■', `${event.stream}: its publisher ended ${after}: ${event.reason}`];
    case 'stream_end': return ['notice', '■', `${event.stream} is over`];
    case 'play': return ['', '+', `${who} plays ${event.stream} by ${event.protocol}`];
    case 'stop': {
      const level = ['stalled', 'too_slow', 'no_resources', 'bad_protocol'].includes(event.reason) ? 'bad' : '';
      return [level, '−', `${who} plays ${event.stream} no more ${after}: ${event.reason}${skipped}`];
    }
    case 'skips':
      return ['notice', '»', `${event.stream}: players skipped ${plural(event.skips, 'time', 'times')}, ${bytes(event.skipped_bytes)}: ${event.reason}`];
    case 'reload':
      switch (event.reason) {
        case 'done': return ['good', '↻', `${event.what} read again`];
        case 'nothing': return ['notice', '↻', `no ${event.what} to read again: there is none`];
        default:
          return ['bad', '↻', `${event.what} not read again, the one before holds: ${event.detail}`];
      }
    case 'lost': return ['notice', '?', `not told or not kept: ${plural(event.count, 'event', 'events')}`];
    default: return ['', '·', event.event];
  }
}
