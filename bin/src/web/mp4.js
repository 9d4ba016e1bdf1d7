// What a page has to know of fragmented MP4: which tracks an init segment has, by what names browsers
// know their codecs, and which track and time a chunk is of.

/// The boxes between two places: their types, and where each begins, has its content, and ends.
function* boxes(view, from, to) {
  for (let at = from; at + 8 <= to;) {
    const type = text(view, at + 4, 4);
    let size = view.getUint32(at);
    let head = 8;
    if (size === 1 && at + 16 <= to) {
      size = Number(view.getBigUint64(at + 8));
      head = 16;
    } else if (size === 0) {
      size = to - at;
    }
    if (size < head || at + size > to) {
      throw new Error(`box ${type} has a bad size`);
    }
    yield { type, at, body: at + head, end: at + size };
    at += size;
  }
}

/// The first box at the end of a path of types, if there is one.
function find(view, box, ...path) {
  for (const type of path) {
    const inner = [...boxes(view, box.body, box.end)].find(inner => inner.type === type);
    if (!inner) return undefined;
    box = inner;
  }
  return box;
}

function text(view, at, length) {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));
}

const hex = (value, digits = 2) => value.toString(16).padStart(digits, '0');
const decimal = value => String(value).padStart(2, '0');

/// Whether a message is an init segment, and not a chunk.
export function isInit(message) {
  return message.byteLength >= 8 && text(new DataView(message), 4, 4) === 'ftyp';
}

/// The tracks of an init segment, each with an init segment of its own.
export function readInit(message) {
  const view = new DataView(message);
  const whole = { body: 0, end: message.byteLength };
  const moov = find(view, whole, 'moov');
  if (!moov) throw new Error('an init segment without moov');
  const tracks = [];
  for (const trak of boxes(view, moov.body, moov.end)) {
    if (trak.type !== 'trak') continue;
    const track = readTrack(view, trak);
    if (track) tracks.push({ ...track, init: initOf(message, view, whole, moov, track.id) });
  }
  return tracks;
}

function readTrack(view, trak) {
  const tkhd = find(view, trak, 'tkhd');
  const mdhd = find(view, trak, 'mdia', 'mdhd');
  const hdlr = find(view, trak, 'mdia', 'hdlr');
  const stsd = find(view, trak, 'mdia', 'minf', 'stbl', 'stsd');
  if (!tkhd || !mdhd || !hdlr || !stsd) return undefined;
  const kind = { vide: 'video', soun: 'audio' }[text(view, hdlr.body + 8, 4)];
  const [entry] = boxes(view, stsd.body + 8, stsd.end);
  if (!kind || !entry) return undefined;
  const isLong = box => view.getUint8(box.body) === 1;
  const track = {
    id: view.getUint32(tkhd.body + (isLong(tkhd) ? 20 : 12)),
    timescale: view.getUint32(mdhd.body + (isLong(mdhd) ? 20 : 12)),
    kind,
  };
  if (kind === 'video') {
    track.width = view.getUint16(entry.body + 24);
    track.height = view.getUint16(entry.body + 26);
  } else {
    track.channels = view.getUint16(entry.body + 16);
    track.rate = view.getUint32(entry.body + 24) >>> 16;
  }
  // What stands before the boxes of a sample entry.
  const more = { body: entry.body + (kind === 'video' ? 78 : 28), end: entry.end };
  track.codec = codecOf(view, entry.type, more);
  track.mime = `${kind}/mp4; codecs="${track.codec}"`;
  return track;
}

/// A codec as RFC 6381 names it.
function codecOf(view, type, entry) {
  const config = (name, skip = 0) => {
    const box = find(view, entry, name);
    return box && { at: box.body + skip, end: box.end };
  };
  const byte = at => view.getUint8(at);
  switch (type) {
    case 'avc1': case 'avc3': {
      const { at } = config('avcC');
      return `${type}.${hex(byte(at + 1))}${hex(byte(at + 2))}${hex(byte(at + 3))}`;
    }
    case 'hvc1': case 'hev1': return hevc(view, type, config('hvcC').at);
    case 'av01': {
      const { at } = config('av1C');
      const [profileAndLevel, flags] = [byte(at + 1), byte(at + 2)];
      const isHigh = (flags & 0x40) !== 0;
      const depth = !isHigh ? 8 : (flags & 0x20) !== 0 ? 12 : 10;
      const tier = (flags & 0x80) !== 0 ? 'H' : 'M';
      return `av01.${profileAndLevel >> 5}.${decimal(profileAndLevel & 31)}${tier}.${decimal(depth)}`;
    }
    case 'vp09': {
      const { at } = config('vpcC', 4);
      return `vp09.${decimal(byte(at))}.${decimal(byte(at + 1))}.${decimal(byte(at + 2) >> 4)}`;
    }
    case 'mp4a': return mpeg4Sound(view, config('esds', 4));
    case 'Opus': return 'opus';
    case 'fLaC': return 'flac';
    case 'vp08': return 'vp8';
    default: return type;
  }
}

function hevc(view, type, at) {
  const [general, level] = [view.getUint8(at + 1), view.getUint8(at + 12)];
  const space = ['', 'A', 'B', 'C'][general >> 6];
  const tier = (general & 0x20) !== 0 ? 'H' : 'L';
  // The flags are named with their first bit last.
  let flags = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    flags = (flags << 1 | view.getUint32(at + 2) >>> bit & 1) >>> 0;
  }
  const constraints = [];
  for (let place = 0; place < 6; place += 1) constraints.push(view.getUint8(at + 6 + place));
  while (constraints.at(-1) === 0) constraints.pop();
  const parts = [`${space}${general & 31}`, flags.toString(16), `${tier}${level}`];
  return [type, ...parts, ...constraints.map(value => value.toString(16))].join('.');
}

/// Of a descriptor of MPEG-4: the object type, and of AAC the kind of it.
function mpeg4Sound(view, esds) {
  let at = esds.at;
  const descriptor = () => {
    const tag = view.getUint8(at);
    at += 1;
    while (view.getUint8(at) & 0x80) at += 1;
    at += 1;
    return tag;
  };
  descriptor();
  const flags = view.getUint8(at + 2);
  at += 3;
  if (flags & 0x80) at += 2;
  if (flags & 0x40) at += 1 + view.getUint8(at);
  if (flags & 0x20) at += 2;
  descriptor();
  const object = view.getUint8(at);
  if (object !== 0x40) return `mp4a.${hex(object).toUpperCase()}`;
  at += 13;
  if (at >= esds.end || descriptor() !== 5) return 'mp4a.40.2';
  const first = view.getUint16(at);
  const kind = first >> 11 === 31 ? 32 + (first >> 5 & 63) : first >> 11;
  return `mp4a.40.${kind}`;
}

/// The init segment of one track: everything but the other tracks.
function initOf(message, view, whole, moov, id) {
  const bytes = new Uint8Array(message);
  const copy = box => bytes.subarray(box.at, box.end);
  const idOf = {
    trak: box => readTrack(view, box)?.id,
    trex: box => view.getUint32(box.body + 4),
  };
  const filtered = box => {
    const parts = [];
    for (const inner of boxes(view, box.body, box.end)) {
      if (inner.type === 'mvex') parts.push(filtered(inner));
      else if (!idOf[inner.type] || idOf[inner.type](inner) === id) parts.push(copy(inner));
    }
    const head = new Uint8Array(8);
    const size = 8 + parts.reduce((sum, part) => sum + part.length, 0);
    new DataView(head.buffer).setUint32(0, size);
    head.set(bytes.subarray(box.at + 4, box.at + 8), 4);
    return join([head, ...parts]);
  };
  const parts = [];
  for (const box of boxes(view, whole.body, whole.end)) {
    parts.push(box.at === moov.at ? filtered(box) : copy(box));
  }
  return join(parts);
}

function join(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/// Of a sample's flags: it needs others.
const IS_DELTA = 0x1_0000;

/// Which track a chunk is of, when it begins and how long it lasts, both in the track's units, and
/// whether a decoder can begin with it.
export function readChunk(message) {
  const view = new DataView(message);
  const traf = find(view, { body: 0, end: message.byteLength }, 'moof', 'traf');
  const tfhd = traf && find(view, traf, 'tfhd');
  const tfdt = traf && find(view, traf, 'tfdt');
  const trun = traf && find(view, traf, 'trun');
  if (!tfhd || !tfdt || !trun) throw new Error('a chunk without a track or a time');
  const flagsOf = box => view.getUint32(box.body) & 0xff_ffff;
  const skip = (flags, ...pairs) =>
    pairs.reduce((sum, [flag, size]) => sum + (flags & flag ? size : 0), 0);
  const own = flagsOf(tfhd);
  const isLong = view.getUint8(tfdt.body) === 1;
  const byDefault = (flag, ...before) =>
    own & flag ? view.getUint32(tfhd.body + 8 + skip(own, ...before)) : 0;
  const fallback = byDefault(8, [1, 8], [2, 4]);
  const flags = flagsOf(trun);
  const count = view.getUint32(trun.body + 4);
  const size = skip(flags, [0x100, 4], [0x200, 4], [0x400, 4], [0x800, 4]);
  const first = trun.body + 8 + skip(flags, [1, 4], [4, 4]);
  // What is said of the first sample, by whoever says it first.
  let about = byDefault(0x20, [1, 8], [2, 4], [8, 4], [0x10, 4]);
  if (flags & 4) about = view.getUint32(trun.body + 8 + skip(flags, [1, 4]));
  else if (flags & 0x400) about = view.getUint32(first + skip(flags, [0x100, 4], [0x200, 4]));
  let duration = 0;
  for (let sample = 0; sample < count; sample += 1) {
    duration += flags & 0x100 ? view.getUint32(first + sample * size) : fallback;
  }
  return {
    id: view.getUint32(tfhd.body + 4),
    begin: isLong ? Number(view.getBigUint64(tfdt.body + 4)) : view.getUint32(tfdt.body + 4),
    duration,
    isKey: (about & IS_DELTA) === 0,
  };
}
