//! Signals as events of a loop.

use std::io;

use signal_hook_mio::v1_0::Signals;

use crate::event_loop::{EventLoop, Ready, Source, SourceId};

pub use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

struct SignalSource<F> {
    signals: Signals,
    run: F,
}

impl<F: FnMut(&mut EventLoop, i32)> Source for SignalSource<F> {
    fn ready(&mut self, el: &mut EventLoop, _: SourceId, _: Ready) {
        for signal in self.signals.pending() {
            (self.run)(el, signal);
        }
    }

    fn drain(&mut self, el: &mut EventLoop, id: SourceId) {
        // Who drains still wants to hear the second Ctrl-C. A loop whose only sources are these has
        // nothing left to drain, which a task finds out.
        let _ = (el, id);
    }
}

impl EventLoop {
    /// Runs `run` on this loop when the process gets one of `signals`. Equal signals that come while
    /// one waits are one. Remove the returned source to stop listening.
    ///
    /// # Errors
    /// A signal that cannot be caught (SIGKILL, SIGSTOP), or the kernel has no descriptors left.
    pub fn on_signals(
        &mut self,
        signals: &[i32],
        run: impl FnMut(&mut EventLoop, i32) + 'static,
    ) -> io::Result<SourceId> {
        if let Some(signal) =
            signals.iter().find(|signal| signal_hook::consts::FORBIDDEN.contains(signal))
        {
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
        Ok(id)
    }
}
