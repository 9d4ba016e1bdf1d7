//! The terminal: taken with a screen of its own, and given back as it was, however the program ends.

use std::io::{self, IsTerminal, Read, Write};

use network::Handle;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

/// Another screen; no cursor; lines that are too long are cut.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Lines and columns of a terminal that does not say.
const SIZE: (usize, usize) = (24, 80);

/// A terminal that is taken. It is given back when this is dropped.
pub struct Terminal {
    /// How keys were treated before; nothing where they come from elsewhere.
    before: Option<Termios>,
}

impl Terminal {
    /// Takes it. `q` stops the loop from now on.
    pub fn take(handle: Handle) -> io::Result<Self> {
        let stdin = io::stdin();
        let mut before = None;
        if stdin.is_terminal() {
            let modes = tcgetattr(&stdin)?;
            let mut keys = modes.clone();
            // Keys come one by one and are not shown. Ctrl-C stays what it is; Ctrl-Z would leave the
            // terminal as it is now.
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
            tcsetattr(&stdin, OptionalActions::Now, &keys)?;
            before = Some(modes);
            std::thread::Builder::new().name("keys".to_owned()).spawn(move || keys_to(&handle))?;
        }
        let taken = Self { before };
        write(ENTER)?;
        Ok(taken)
    }

    /// Lines and columns.
    pub fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                (size.ws_row.into(), size.ws_col.into())
            }
            _ => SIZE,
        }
    }

    /// Shows these lines in place of what was there.
    pub fn show(&self, lines: &[String]) -> io::Result<()> {
        write(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left who could be told that it failed.
        let _ = write(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn keys_to(handle: &Handle) {
    let mut key = [0];
    while matches!(io::stdin().lock().read(&mut key), Ok(1)) {
        if matches!(key, [b'q' | b'Q' | 0x04]) {
            break;
        }
    }
    handle.stop();
}
