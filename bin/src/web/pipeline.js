// From chunks to a video element: one MediaSource, one SourceBuffer a track, and what waits for each.

/// What is kept behind the picture, to be seen again at once after a little step back.
const KEPT_S = 8;
/// What is kept of a picture that stands still: whoever goes on after a longer time goes to the end.
const KEPT_PAUSED_S = 30;
/// Messages that wait for the browser. Where it takes none (a page that was never looked at), what it
/// would take later is too old anyway.
const WAITING = 1500;
/// Beginnings that are remembered: more than are kept.
const KEYS = 1000;

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource;

export const hasMediaSource = Boolean(Source);

export const canPlay = track => Source.isTypeSupported(track.mime);

/// Feeds one MediaSource, for as long as the kinds of its tracks stay the same.
export class Pipeline {
  #video;
  #source = new Source();
  #tracks = new Map();
  /// When one can begin with pictures, or with sound where there are none, as far as it is kept.
  #keys = [];
  #failed;
  #url;

  /// `grown` is called when more can be played, `failed` when nothing more will be.
  constructor(video, tracks, { grown, failed }) {
    this.#video = video;
    this.#failed = failed;
    for (const track of tracks) {
      this.#tracks.set(track.kind, { ...track, waiting: [track.init], buffer: undefined, grown });
    }
    this.#source.addEventListener('sourceopen', () => this.#open(), { once: true });
    // Where pictures can be sent to a television, only a managed source that gives that up opens.
    video.disableRemotePlayback = true;
    this.#url = URL.createObjectURL(this.#source);
    video.src = this.#url;
  }

  #open() {
    URL.revokeObjectURL(this.#url);
    try {
      this.#source.duration = Infinity;
      for (const track of this.#tracks.values()) {
        const buffer = this.#source.addSourceBuffer(track.mime);
        track.buffer = buffer;
        buffer.addEventListener('updateend', () => {
          if (track.waiting.length === 0) track.grown();
          this.#next(track);
        });
        buffer.addEventListener('error', () => this.#failed(`${track.codec} is broken`));
      }
      for (const track of this.#tracks.values()) this.#next(track);
    } catch (error) {
      this.#failed(error.message);
    }
  }

  /// Whether these tracks can go on here: where one comes or goes, another source is needed.
  takes(tracks) {
    const isHere = track => {
      const here = this.#tracks.get(track.kind);
      // Older browsers cannot change the codec of a buffer.
      return here && (here.mime === track.mime || 'changeType' in SourceBuffer.prototype);
    };
    return tracks.length === this.#tracks.size && tracks.every(isHere);
  }

  /// Goes on with these configurations.
  configure(tracks) {
    for (const { kind, id, mime, codec, init } of tracks) {
      const here = this.#tracks.get(kind);
      if (here.mime !== mime) here.waiting.push({ mime });
      Object.assign(here, { id, mime, codec });
      here.waiting.push(init);
      this.#next(here);
    }
  }

  /// Takes a chunk; `key` is when it begins, where a decoder can begin with it and cannot with others.
  append(kind, chunk, key) {
    if (key !== undefined) this.#keys.push(key);
    if (this.#keys.length > KEYS) this.#keys.shift();
    const track = this.#tracks.get(kind);
    track.waiting.push(chunk);
    if (track.waiting.length > WAITING) return this.#failed('the browser takes nothing');
    this.#next(track);
  }

  /// Nothing is about to be played that is not yet.
  get isIdle() {
    return [...this.#tracks.values()].every(
      ({ waiting, buffer }) => waiting.length === 0 && buffer && !buffer.updating);
  }

  #next(track) {
    const { buffer, waiting } = track;
    if (!buffer || buffer.updating || this.#source.readyState !== 'open') return;
    try {
      if (this.#trim(buffer, false)) return;
      while (waiting[0]?.mime) {
        buffer.changeType(waiting[0].mime);
        waiting.shift();
      }
      if (waiting.length === 0) return;
      buffer.appendBuffer(waiting[0]);
      waiting.shift();
    } catch (error) {
      // There is no room: what was seen makes some, or there is none.
      if (error.name === 'QuotaExceededError' && this.#trim(buffer, true)) return;
      this.#failed(error.message);
    }
  }

  /// Takes away what is long past, if there is enough of it; that takes a while.
  #trim(buffer, isFull) {
    if (buffer.buffered.length === 0) return false;
    const { currentTime, paused } = this.#video;
    const [start, end] = [buffer.buffered.start(0), buffer.buffered.end(buffer.buffered.length - 1)];
    let until = Math.min(currentTime, end) - (isFull ? 1 : KEPT_S);
    // Of a picture that stands still, the end is kept.
    if (paused) until = Math.max(until, end - (isFull ? KEPT_S : KEPT_PAUSED_S));
    // Taking away the beginning of a group of pictures would take all of it, the present one included.
    until = this.#keys.findLast(key => key <= until) ?? start;
    if (until - start < (isFull ? 0.1 : KEPT_S)) return false;
    buffer.remove(0, until);
    return true;
  }

  close() {
    this.#tracks.clear();
    URL.revokeObjectURL(this.#url);
  }
}
