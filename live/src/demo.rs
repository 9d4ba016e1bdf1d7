//! A test card, published from inside: something to play where there is no encoder.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use media::testcard::{Options, TestCard};
use network::EventLoop;

use crate::hub::{Hub, Refusal, Ticket};
use crate::limits;
use crate::name::StreamName;

/// Frames are looked for this often: a third of a picture's time.
const TICK: Duration = Duration::from_millis(10);

struct Demo {
    card: TestCard,
    ticket: Ticket,
    began: Instant,
}

/// Publishes a test card under this name, which has to live on this loop, until the loop ends.
///
/// # Errors
/// It may not be published.
pub fn publish(
    el: &mut EventLoop,
    hub: &Rc<Hub>,
    name: &StreamName,
    options: Options,
) -> Result<(), DemoError> {
    let card = TestCard::new(options)?;
    let ticket = hub.publish(el, name, None)?;
    tracing::info!(stream = %name, door = "demo", "publish");
    hub.publishes(el, &hub.next_id(), "demo", None, &ticket);
    let demo = RefCell::new(Demo { card, ticket, began: Instant::now() });
    el.every(TICK, move |el| demo.borrow_mut().tick(el));
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
    fn tick(&mut self, el: &mut EventLoop) {
        if !self.ticket.is_valid() {
            return;
        }
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
