// Reads the time off a picture of the test card; a plain script, for every page that plays one.

// The clock of the test card at 1280x720, hh:mm:ss.mmm: where it stands, how wide a dot of its letters
// is, which columns its digits begin at, and the letters' rows (media/src/testcard/font.rs).
const CLOCK = { left: 268, top: 156, dot: 12, columns: 62, rows: 7 };
const DIGITS_AT = [0, 6, 15, 21, 30, 36, 45, 51, 57];
const DIGITS = [
  [14, 17, 19, 21, 25, 17, 14], [4, 12, 20, 4, 4, 4, 31], [14, 17, 1, 6, 8, 16, 31],
  [14, 17, 1, 6, 1, 17, 14], [2, 6, 10, 18, 31, 2, 2], [31, 16, 30, 1, 1, 17, 14],
  [14, 16, 16, 30, 17, 17, 14], [31, 1, 2, 4, 4, 8, 8], [14, 17, 17, 14, 17, 17, 14],
  [14, 17, 17, 15, 1, 1, 14],
].map(String);
const canvas = new OffscreenCanvas(CLOCK.columns, CLOCK.rows);
const pixels = canvas.getContext('2d', { willReadFrequently: true });
pixels.imageSmoothingEnabled = false;

/// The time that the picture shows, in milliseconds of today; nothing where it shows none.
function readClock(video) {
  const { left, top, dot, columns, rows } = CLOCK;
  // A dot becomes a pixel.
  pixels.drawImage(video, left, top, columns * dot, rows * dot, 0, 0, columns, rows);
  const { data } = pixels.getImageData(0, 0, columns, rows);
  const lit = (column, row) => data[(row * columns + column) * 4] > 128;
  const digits = DIGITS_AT.map(at => {
    const letter = Array.from({ length: rows }, (_, row) =>
      [0, 1, 2, 3, 4].reduce((bits, column) => bits * 2 + lit(at + column, row), 0));
    return DIGITS.indexOf(String(letter));
  });
  if (digits.includes(-1)) {
    return undefined;
  }
  const [h, hh, m, mm, s, ss, ...milli] = digits;
  const millis = ((h * 10 + hh) * 60 + m * 10 + mm) * 60_000 + (s * 10 + ss) * 1000
    + Number(milli.join(''));
  const midnight = Math.floor(Date.now() / 86_400_000) * 86_400_000;
  // A clock just before midnight may be read just after it.
  return midnight + millis > Date.now() + 3_600_000
    ? midnight + millis - 86_400_000 : midnight + millis;
}
