//! A test card, published from inside: something to play where there is no encoder.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use media::testcard::{Options, TestCard};
use network::EventLoop;

use crate::hub::{Hub, Refusal, Ticket};
use crate::limits;
use crate::name::StreamName;
use crate::stream::Stream;

/// Frames are looked for this often: a third of a picture's time.
const TICK: Duration = Duration::from_millis(10);

/// An encoder whose connection was ended comes back after so long; so does the test card.
const COMES_BACK_AFTER: Duration = Duration::from_secs(5);

struct Demo {
    name: StreamName,
    options: Options,
    on_air: Option<OnAir>,
    /// When it was ended.
    ended: Instant,
}

struct OnAir {
    card: TestCard,
    ticket: Ticket,
    began: Instant,
}

/// Publishes a test card under this name, which has to live on this loop, until the loop ends. Whoever else
/// publishes under the name has it: the test card comes back when nobody does.
///
/// # Errors
/// It may not be published.
pub fn publish(
    el: &mut EventLoop,
    hub: &Rc<Hub>,
    name: &StreamName,
    options: Options,
) -> Result<(), DemoError> {
    let on_air = Some(OnAir::begin(el, hub, name, &options)?);
    let demo = Demo { name: name.clone(), options, on_air, ended: el.now() };
    let (demo, hub) = (RefCell::new(demo), Rc::clone(hub));
    el.every(TICK, move |el| demo.borrow_mut().tick(el, &hub));
    Ok(())
}

/// Why there is no test card.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It cannot be made so.
    #[error(transparent)]
    Options(#[from] media::testcard::OptionsError),
    /// It may not be published.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Demo {
    fn tick(&mut self, el: &mut EventLoop, hub: &Rc<Hub>) {
        if let Some(on_air) = &mut self.on_air {
            if on_air.ticket.is_valid() {
                return on_air.tick(el);
            }
            // Who holds the ticket holds the stream.
            self.on_air = None;
            self.ended = el.now();
        }
        let is_free = |stream: &Rc<RefCell<Stream>>| stream.borrow().publisher().is_none();
        let has_rested = el.now().saturating_duration_since(self.ended) >= COMES_BACK_AFTER;
        if has_rested && hub.find_stream(&self.name).as_ref().is_none_or(is_free) {
            self.ended = el.now();
            match OnAir::begin(el, hub, &self.name, &self.options) {
                Ok(on_air) => self.on_air = Some(on_air),
                Err(error) => tracing::warn!(stream = %self.name, %error, "no test card"),
            }
        }
    }
}

impl OnAir {
    fn begin(
        el: &mut EventLoop,
        hub: &Rc<Hub>,
        name: &StreamName,
        options: &Options,
    ) -> Result<Self, DemoError> {
        let card = TestCard::new(options.clone())?;
        let ticket = hub.publish(el, name, None)?;
        tracing::info!(stream = %name, door = "demo", "publish");
        hub.publishes(el, &hub.next_id(), "demo", None, &ticket);
        Ok(Self { card, ticket, began: Instant::now() })
    }

    fn tick(&mut self, el: &mut EventLoop) {
        let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        for _ in 0..limits::CATCH_UP {
            if self.card.due().0 > elapsed {
                break;
            }
            let clock =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let frame = self.card.next(i64::try_from(clock.as_micros()).unwrap_or(0));
            let taken = self.ticket.stream().borrow_mut().frame(frame, el.now());
            if let Err(error) = taken {
                tracing::error!(%error, "the test card is broken");
            }
        }
        if let Err(error) = self.ticket.commit(el) {
            tracing::error!(%error, "there is no memory for the test card");
        }
    }
}
