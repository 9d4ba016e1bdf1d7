//! Signals as events of a loop.

use std::io;

use signal_hook_mio::v1_0::Signals;

use crate::event_loop::{EventLoop, Ready, Source, SourceId};

pub use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

/// The numbers that Linux has signals for.
const NUMBERS: std::ops::RangeInclusive<i32> = 1..=64;

struct SignalSource<F> {
    signals: Signals,
    run: F,
}

impl<F: FnMut(&mut EventLoop, i32)> Source for SignalSource<F> {
    fn ready(&mut self, el: &mut EventLoop, id: SourceId, _: Ready) {
        for signal in self.signals.pending() {
            if el.contains(id) {
                (self.run)(el, signal);
            }
        }
    }

    fn drain(&mut self, el: &mut EventLoop, id: SourceId) {
        // Who drains still wants to hear the second Ctrl-C. The loop does not wait for this source.
        let _ = (el, id);
    }
}

impl EventLoop {
    /// Runs `run` on this loop when the process gets one of `signals`. Equal signals that come while
    /// one waits are one. Remove the returned source to stop listening.
    ///
    /// # Errors
    /// A signal that cannot be caught (SIGKILL, SIGSTOP; SIGSEGV and its like, which come from a fault
    /// that would come again; a number that is no signal), or the kernel has no descriptors left.
    pub fn on_signals(
        &mut self,
        signals: &[i32],
        run: impl FnMut(&mut EventLoop, i32) + 'static,
    ) -> io::Result<SourceId> {
        let impossible = |signal: &&i32| {
            !NUMBERS.contains(*signal) || signal_hook::consts::FORBIDDEN.contains(*signal)
        };
        if let Some(signal) = signals.iter().find(impossible) {
            let message = format!("signal {signal} cannot be caught");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut signals = Signals::new(signals)?;
        let (id, token) = self.reserve_token();
        let registered = mio::event::Source::register(
            &mut signals,
            self.registry(),
            token,
            mio::Interest::READABLE,
        );
        if let Err(error) = registered {
            self.remove(id);
            return Err(error);
        }
        self.fill(id, Box::new(SignalSource { signals, run }));
        self.ends_without(id);
        Ok(id)
    }
}
