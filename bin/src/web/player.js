// Plays a live stream in a video element: by MSE over WebSocket, or by HLS where a browser has only that.
// Whatever happens on the way, it goes on by itself.

import { isInit, readChunk, readInit } from './mp4.js';
import { Pipeline, canPlay, hasMediaSource } from './pipeline.js';

/// How far behind the newest picture is wanted. Chunks come every 0.2 s: half of this is in the buffer
/// when the next one is due.
const TARGET_S = 0.45;
/// Where a network cannot do that, it is more, by so much a stall, and less again after a while.
const TARGET_STEP_S = 0.15;
const TARGET_MOST_S = 2;
const TARGET_EASES_MS = 30_000;
/// Further behind than this, it seeks; less far, it plays a little faster until it is there.
const SEEK_BEHIND_S = 3;
const FASTEST = 1.1;
/// It begins to play faster at the first, and stops at the second.
const LATE_S = 0.15;
const IN_TIME_S = 0.03;
/// How often it looks how it goes.
const LOOK_MS = 100;
/// Who begins is sent a lot at once. When nothing came for so long, or it has lasted so long, all is there.
const SETTLED_MS = 50;
const SETTLES_MS = 400;
/// A connection that is silent for longer is taken for lost: longer than a server waits for a publisher.
const SILENT_MS = 30_000;
/// Pictures that stand still for so long though chunks come need another beginning.
const STUCK_MS = 4000;
/// Between two attempts; each failure doubles it, until something has played for so long.
const HOLDS_MS = 3000;
const RETRY_MS = 250;
const RETRY_MOST_MS = 5000;
/// How much of the past the newest picture is known from.
const REMEMBERED_MS = 5000;
/// How browsers that play HLS know it.
const HLS = 'application/vnd.apple.mpegurl';
/// Who is not published is told so by this code.
const NOT_FOUND = 4404;
const OVER = 1000;

const isPlayedVideo = ({ kind, isPlayed }) => kind === 'video' && isPlayed;

export class Player extends EventTarget {
  #video;
  #url;
  #fallback;
  #socket;
  #pipeline;
  #tracks = [];
  /// The next init segment begins anew, since it is of another connection.
  #isAnew = true;
  #retry;
  #failures = 0;
  #wanted = true;
  #silence;
  #settling;
  /// When the first message for this pipeline came, until it plays; whether all that was there has come;
  /// when it began to play.
  #joining;
  #isThere = false;
  #joined = 0;
  #edges = new Edge();
  #target = TARGET_S;
  #eased = 0;
  #moved = { time: 0, at: 0 };
  #heard = 0;
  #bytes = [];
  #isWaiting = false;
  #state = { name: 'connecting' };

  /// What a page shows on demand.
  counts = { connections: 0, stalls: 0, seeks: 0 };

  constructor(video, { socket, hls }) {
    super();
    this.#video = video;
    this.#url = socket;
    this.#fallback = hls;
  }

  start() {
    const video = this.#video;
    if (!hasMediaSource) return this.#playNatively();
    video.addEventListener('waiting', () => this.#stalled());
    video.addEventListener('playing', () => this.#plays());
    video.addEventListener('error', () => this.#again(video.error?.message || 'decoding failed'));
    addEventListener('online', () => this.#hurry());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#hurry();
    });
    setInterval(() => this.#look(), LOOK_MS);
    this.#connect();
  }

  get state() {
    return this.#state;
  }

  get tracks() {
    return this.#tracks;
  }

  /// Seconds behind the newest picture that has come, or would have by now.
  get latency() {
    const newest = this.#edges.now();
    return newest === undefined ? undefined : Math.max(0, newest - this.#video.currentTime);
  }

  /// Seconds that can be played without another chunk.
  get ahead() {
    const range = this.#range();
    return range ? range.end - this.#video.currentTime : 0;
  }

  /// Bits a second that came of late.
  get bitrate() {
    const now = performance.now();
    this.#bytes = this.#bytes.filter(({ at }) => now - at < REMEMBERED_MS);
    const first = this.#bytes[0];
    if (!first) return 0;
    const sum = this.#bytes.reduce((sum, { length }) => sum + length, 0);
    return sum * 8 / Math.max(1, (now - first.at) / 1000);
  }

  /// Goes to the newest picture.
  goLive() {
    this.#wanted = true;
    this.#seek();
    this.#play();
  }

  /// Pauses, or goes on: after a longer time at what is live, and not at what was.
  toggle() {
    this.#wanted = this.#video.paused;
    if (!this.#wanted) return this.#video.pause();
    if (this.latency > SEEK_BEHIND_S) this.#seek();
    this.#play();
  }

  #tell(name, detail) {
    if (this.#state.name === name && this.#state.detail === detail) return;
    this.#state = { name, detail };
    this.dispatchEvent(new Event('state'));
  }

  // ---- the connection ----

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#isAnew = true;
    const socket = new WebSocket(this.#url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#message(data);
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#closed(code);
    };
    this.#listen();
  }

  /// Takes a connection that is silent for too long for lost.
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#again('nothing comes'), SILENT_MS);
  }

  #closed(code) {
    this.#socket = undefined;
    clearTimeout(this.#silence);
    if (code === NOT_FOUND) this.#tell('offline');
    else if (code === OVER) this.#tell('over');
    else this.#tell('lost');
    const wait = Math.min(RETRY_MOST_MS, RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Not all who lost a server come back at the same time.
    this.#retry = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }

  #hurry() {
    if (this.#retry) this.#connect();
  }

  /// Begins anew: there is no way on from here.
  #again(why) {
    if (!this.#socket) return;
    console.info(`beginning anew: ${why}`);
    const socket = this.#socket;
    this.#closed(undefined);
    socket.close();
  }

  #message(data) {
    this.#listen();
    const now = performance.now();
    this.#heard = now;
    this.#bytes.push({ at: now, length: data.byteLength });
    if (this.#bytes.length > 1000) this.#bytes.shift();
    try {
      if (isInit(data)) this.#init(data, now);
      else this.#chunk(data, now);
    } catch (error) {
      this.#again(error.message);
    }
  }

  #init(data, now) {
    const tracks = readInit(data);
    const playable = tracks.filter(canPlay);
    this.#edges.forget();
    this.#tracks = tracks.map(track => ({ ...track, isPlayed: playable.includes(track) }));
    if (playable.length === 0) {
      const codecs = tracks.map(({ codec }) => codec).join(', ');
      if (this.#video.canPlayType(HLS) && codecs) return this.#giveUpFor(codecs);
      this.#pipeline?.close();
      this.#pipeline = undefined;
      return this.#tell('unplayable', codecs || 'no track');
    }
    if (this.#isAnew || !this.#pipeline?.takes(playable)) {
      if (this.#isAnew) this.counts.connections += 1;
      this.#isAnew = false;
      this.#joining = now;
      this.#isThere = false;
      clearTimeout(this.#settling);
      this.#pipeline?.close();
      const pipeline = new Pipeline(this.#video, playable, {
        grown: () => this.#look(),
        failed: why => {
          if (pipeline === this.#pipeline) this.#again(why);
        },
      });
      this.#pipeline = pipeline;
    } else {
      this.#pipeline.configure(playable);
    }
  }

  #chunk(data, now) {
    if (!this.#pipeline) return;
    const { id, begin, duration, isKey } = readChunk(data);
    const track = this.#tracks.find(track => track.id === id);
    if (!track?.isPlayed) return;
    // Pictures lead, where there are some.
    const isLeading = track === (this.#tracks.find(isPlayedVideo) ?? track);
    if (isLeading) this.#edges.note((begin + duration) / track.timescale, now);
    this.#pipeline.append(track.kind, data, isLeading && isKey ? begin / track.timescale : undefined);
    if (this.#joining === undefined) {
      if (now - this.#joined > HOLDS_MS) this.#failures = 0;
    } else if (!this.#isThere) {
      clearTimeout(this.#settling);
      const rest = Math.max(0, Math.min(SETTLED_MS, this.#joining + SETTLES_MS - now));
      this.#settling = setTimeout(() => {
        this.#isThere = true;
        this.#settle();
      }, rest);
    }
  }

  // ---- the picture ----

  /// What was there when it joined has come: goes to where it wants to be.
  #settle() {
    // Called again when the browser has taken something.
    if (!this.#isThere || this.#video.buffered.length === 0 || !this.#pipeline?.isIdle) return;
    this.#joining = undefined;
    this.#joined = performance.now();
    this.#seek();
    this.#tell('playing');
    if (this.#wanted) this.#play();
  }

  async #play() {
    const video = this.#video;
    try {
      await video.play();
    } catch (error) {
      if (error.name !== 'NotAllowedError' || video.muted) return;
      // A page that nobody has touched yet may show, but not sound.
      video.muted = true;
      this.dispatchEvent(new Event('silenced'));
      await video.play().catch(() => {});
    }
  }

  /// The range that is played now.
  #range() {
    const { buffered, currentTime } = this.#video;
    for (let place = 0; place < buffered.length; place += 1) {
      const [start, end] = [buffered.start(place), buffered.end(place)];
      if (currentTime >= start - 0.01 && currentTime <= end + 0.01) return { start, end };
    }
    return undefined;
  }

  /// Goes to where the newest picture is as far ahead as wanted.
  #seek() {
    const { buffered } = this.#video;
    if (buffered.length === 0) return;
    const [start, end] = [buffered.start(buffered.length - 1), buffered.end(buffered.length - 1)];
    const newest = Math.min(this.#edges.now() ?? end, end + TARGET_S);
    const to = Math.max(start + 0.001, Math.min(newest - this.#target, end - 0.05));
    this.#video.playbackRate = 1;
    this.#video.currentTime = to;
    this.#moved = { time: to, at: performance.now() };
  }

  #stalled() {
    if (this.#joining !== undefined || this.#video.seeking || this.#video.paused) return;
    const now = performance.now();
    if (now - this.#heard < 1000) {
      // The network is slower than was hoped for. A publisher that has gone is no reason to wait longer.
      this.counts.stalls += 1;
      this.#target = Math.min(TARGET_MOST_S, this.#target + TARGET_STEP_S);
      this.#eased = now;
    }
    this.#isWaiting = true;
  }

  #plays() {
    this.#isWaiting = false;
    if (this.#socket) this.#tell('playing');
  }

  /// Looks how it goes: keeps the distance, gets over gaps, and says what there is to say.
  #look() {
    const now = performance.now();
    const video = this.#video;
    if (this.#joining !== undefined) {
      return this.#settle();
    }
    if (!this.#pipeline || video.paused || video.seeking) {
      this.#moved = { time: video.currentTime, at: now };
      return;
    }
    if (this.#isWaiting && this.#socket && now - this.#heard > 1000) this.#tell('waiting');
    if (now - this.#eased > TARGET_EASES_MS) {
      this.#target = Math.max(TARGET_S, this.#target - TARGET_STEP_S / 3);
      this.#eased = now;
    }
    if (Math.abs(video.currentTime - this.#moved.time) > 0.01) {
      this.#moved = { time: video.currentTime, at: now };
    }
    if (this.#jumpGap()) return;
    const isFed = now - this.#heard < 500;
    if (isFed && now - this.#moved.at > STUCK_MS) return this.#again('the picture stands still');
    const { latency } = this;
    if (latency === undefined || !isFed) {
      video.playbackRate = 1;
      return;
    }
    const late = latency - this.#target;
    const { buffered } = video;
    const gain = buffered.length && buffered.end(buffered.length - 1) - video.currentTime;
    if (late > SEEK_BEHIND_S && gain > SEEK_BEHIND_S) {
      this.counts.seeks += 1;
      this.#seek();
    } else if (late > LATE_S || late > IN_TIME_S && video.playbackRate > 1) {
      // In steps, since a browser may need a moment for each.
      const rate = Math.min(FASTEST, 1.02 + Math.floor(late * 10) / 50);
      if (video.playbackRate !== rate) video.playbackRate = rate;
    } else if (video.playbackRate !== 1) {
      video.playbackRate = 1;
    }
  }

  /// At the end of what there is, with more behind a gap: goes there.
  #jumpGap() {
    const video = this.#video;
    const { buffered, currentTime } = video;
    if (this.ahead > 0.1) return false;
    for (let place = 0; place < buffered.length; place += 1) {
      const [start, end] = [buffered.start(place), buffered.end(place)];
      if (start > currentTime + 0.01) {
        // Something to play from there, so that it does not stand still again at once.
        if (end - start < this.#target / 2) return false;
        this.counts.seeks += 1;
        this.#seek();
        return true;
      }
    }
    return false;
  }

  // ---- HLS ----

  #giveUpFor(codecs) {
    console.info(`only HLS may play ${codecs}`);
    const socket = this.#socket;
    this.#socket = undefined;
    clearTimeout(this.#silence);
    socket.close();
    this.#pipeline?.close();
    this.#pipeline = undefined;
    this.#playNatively();
  }

  #playNatively() {
    const video = this.#video;
    if (!video.canPlayType(HLS)) return this.#tell('unplayable', 'neither MSE nor HLS');
    const load = () => {
      video.src = this.#fallback;
      this.#play();
    };
    const retry = () => {
      if (this.#retry) return;
      this.#tell('lost');
      const wait = Math.min(RETRY_MOST_MS, RETRY_MS * 2 ** this.#failures);
      this.#failures += 1;
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        load();
      }, wait);
    };
    video.addEventListener('error', retry);
    video.addEventListener('ended', retry);
    video.addEventListener('playing', () => {
      this.#failures = 0;
      this.#tell('playing');
    });
    video.addEventListener('waiting', () => this.#tell('waiting'));
    load();
  }
}

/// Where the newest picture is on the stream's clock, by when chunks came. Those that were on their way
/// for the shortest time say it best.
class Edge {
  /// The stream's time less this page's, in two spans of time.
  #before;
  #now;
  #since = 0;

  note(end, at) {
    const offset = end - at / 1000;
    if (this.#now === undefined || at - this.#since > REMEMBERED_MS) {
      this.#before = this.#now;
      this.#now = offset;
      this.#since = at;
    }
    this.#now = Math.max(this.#now, offset);
    // A clock that steps back was another one.
    if (this.#offset() - offset > 2) {
      this.forget();
      this.#now = offset;
      this.#since = at;
    }
  }

  #offset() {
    return Math.max(this.#now ?? -Infinity, this.#before ?? -Infinity);
  }

  forget() {
    this.#before = undefined;
    this.#now = undefined;
  }

  now() {
    return this.#now === undefined ? undefined : this.#offset() + performance.now() / 1000;
  }
}
