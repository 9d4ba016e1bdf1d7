//! Work of a loop that can wait: so much time of it a turn, whoever it is for.
//!
//! Answers of the API are made so. A bound by rows for each would not hold for all of them together,
//! nor on a slow machine. A flush that is under way goes first ([`crate::flush`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use network::EventLoop;

use crate::hub::Hub;

/// A little of it; true where that was all.
type Chore = Box<dyn FnMut(&Rc<Hub>, &mut EventLoop) -> bool>;

/// What waits on a loop.
#[derive(Default)]
pub(crate) struct Chores {
    waiting: RefCell<VecDeque<Chore>>,
    /// The next turn looks after them.
    is_planned: Cell<bool>,
}

impl Hub {
    /// Calls this until it returns true, in turns with all others. Each call should take some hundred
    /// microseconds at most.
    pub(crate) fn chore(
        self: &Rc<Self>,
        el: &mut EventLoop,
        chore: impl FnMut(&Rc<Self>, &mut EventLoop) -> bool + 'static,
    ) {
        self.chores.waiting.borrow_mut().push_back(Box::new(chore));
        self.plan_chores(el);
    }

    fn plan_chores(self: &Rc<Self>, el: &mut EventLoop) {
        if !self.chores.is_planned.replace(true) {
            self.next_turn(el, Self::do_chores);
        }
    }

    fn do_chores(self: &Rc<Self>, el: &mut EventLoop) {
        self.chores.is_planned.set(false);
        let (began, most) = (Instant::now(), self.flusher.spare());
        while began.elapsed() < most {
            let next = self.chores.waiting.borrow_mut().pop_front();
            let Some(mut chore) = next else { break };
            if !chore(self, el) {
                self.chores.waiting.borrow_mut().push_back(chore);
            }
        }
        if !self.chores.waiting.borrow().is_empty() {
            self.plan_chores(el);
        }
    }
}
