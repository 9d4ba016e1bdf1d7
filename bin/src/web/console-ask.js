// Asks the API: with the token where one is wanted, and reads events for as long as somebody looks.

const KEY = 'weir.token';
const WITHIN_MS = 8000;
/// An id of no run of the server: whoever comes with it is told all that is kept.
const FROM_THE_BEGINNING = '0-0';

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: value => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/// The server has answered, and not as wished.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers(more = {}) {
  const known = token.get();
  return known ? { ...more, Authorization: `Bearer ${known}` } : more;
}

async function refusal(answer) {
  let words = `the server says ${answer.status}`;
  try {
    words = (await answer.json()).message ?? words;
  } catch {
    // Not the API's words: a proxy's.
  }
  return new Refused(answer.status, words);
}

export async function ask(path, method = 'GET') {
  const answer = await fetch(path, {
    method, headers: headers(), cache: 'no-store', signal: AbortSignal.timeout(WITHIN_MS),
  });
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

/// Events since those already heard. An EventSource cannot send the token; this reads the same stream.
export class Events {
  #last = FROM_THE_BEGINNING;
  #reading = null;
  #wait = 2000;

  /// `heard` gets each event, `told` how the reading goes.
  constructor(heard, told) {
    this.heard = heard;
    this.told = told;
  }

  start() {
    if (this.#reading) return;
    const reading = new AbortController();
    this.#reading = reading;
    this.#follow(reading.signal);
  }

  stop() {
    this.#reading?.abort();
    this.#reading = null;
  }

  async #follow(signal) {
    while (!signal.aborted) {
      try {
        await this.#read(signal);
      } catch (error) {
        if (signal.aborted) return;
        // The page asks for the token, and starts this anew.
        if (error.status === 401) {
          this.stop();
          return;
        }
        this.told(`not listening (${error.message}); trying again`);
      }
      if (signal.aborted) return;
      await new Promise(over => setTimeout(over, this.#wait));
    }
  }

  async #read(signal) {
    const answer = await fetch('/api/v1/events', {
      headers: headers({ Accept: 'text/event-stream', 'Last-Event-ID': this.#last }),
      cache: 'no-store', signal,
    });
    if (!answer.ok) throw await refusal(answer);
    this.told('listening');
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
      const messages = text.split('\n\n');
      text = messages.pop();
      messages.forEach(message => this.#message(message));
    }
    this.told('not listening; trying again');
  }

  #message(message) {
    for (const line of message.split('\n')) {
      const colon = line.indexOf(': ');
      if (colon < 1) continue;
      const value = line.slice(colon + 2);
      switch (line.slice(0, colon)) {
        case 'id': this.#last = value; break;
        case 'retry': this.#wait = Number(value) || this.#wait; break;
        case 'data': this.heard(JSON.parse(value)); break;
        default:
      }
    }
  }
}
