//! Option negotiation by the queue method (RFC 1143; spec 4.2): only changes are answered, so that no loop can arise.

use crate::telnet::Verb;

/// How often an option that we never take is refused on one connection; what comes after is ignored.
const REFUSALS: u16 = 256;

/// Where one side of one option stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    No,
    Yes,
    /// We asked to end it; `again` if it was wished for anew meanwhile.
    WantNo {
        again: bool,
    },
    /// We asked to begin it; `stop` if the wish went meanwhile.
    WantYes {
        stop: bool,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Side {
    state: State,
    /// The other end may ask for it.
    willing: bool,
}

impl Side {
    /// The other end said yes or no. Returns our answer, if any.
    const fn heard(&mut self, yes: bool) -> Option<bool> {
        let (state, answer) = match (self.state, yes) {
            (State::No, true) if self.willing => (State::Yes, Some(true)),
            (State::No, true) => (State::No, Some(false)),
            (State::Yes, true) | (State::WantNo { again: true }, true) => (State::Yes, None),
            (State::WantYes { stop: false }, true) => (State::Yes, None),
            (State::WantYes { stop: true }, true) => (State::WantNo { again: false }, Some(false)),
            (State::Yes, false) => (State::No, Some(false)),
            (State::WantNo { again: true }, false) => (State::WantYes { stop: false }, Some(true)),
            // An answer to our own word, or nothing new.
            (State::WantNo { again: false }, _) | (State::No | State::WantYes { .. }, false) => {
                (State::No, None)
            }
        };
        self.state = state;
        answer
    }

    /// We want it, or no longer. Returns what to say.
    const fn want(&mut self, yes: bool) -> Option<bool> {
        let (state, say) = match (self.state, yes) {
            (State::No, true) => (State::WantYes { stop: false }, Some(true)),
            (State::Yes, false) => (State::WantNo { again: false }, Some(false)),
            (State::WantNo { .. }, again) => (State::WantNo { again }, None),
            (State::WantYes { .. }, yes) => (State::WantYes { stop: !yes }, None),
            (same, _) => (same, None),
        };
        self.state = state;
        say
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    option: u8,
    ours: Side,
    theirs: Side,
}

/// The options of one connection. Those that were not named are always refused.
#[derive(Debug)]
pub(crate) struct Options {
    entries: Vec<Entry>,
    refusals: u16,
}

/// What came of a word of the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reaction {
    /// To be sent.
    pub(crate) answer: Option<Verb>,
    /// The option began or ended, on their side of it.
    pub(crate) theirs: Option<bool>,
    /// The option began or ended, on our side of it.
    pub(crate) ours: Option<bool>,
}

impl Options {
    /// `options`: which we use if asked to, and which the other end may use.
    pub(crate) fn new(options: &[(u8, bool, bool)]) -> Self {
        let side = |willing| Side { state: State::No, willing };
        let entry =
            |&(option, ours, theirs)| Entry { option, ours: side(ours), theirs: side(theirs) };
        Self { entries: options.iter().map(entry).collect(), refusals: 0 }
    }

    fn find(&mut self, option: u8) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.option == option)
    }

    /// We want to use the option. Returns what to say.
    pub(crate) fn want_ours(&mut self, option: u8) -> Option<Verb> {
        self.find(option)?.ours.want(true).map(|yes| if yes { Verb::Will } else { Verb::Wont })
    }

    /// We want the other end to use the option. Returns what to say.
    pub(crate) fn want_theirs(&mut self, option: u8) -> Option<Verb> {
        self.find(option)?.theirs.want(true).map(|yes| if yes { Verb::Do } else { Verb::Dont })
    }

    /// Whether the other end uses the option.
    pub(crate) fn theirs(&self, option: u8) -> bool {
        self.entries.iter().any(|e| e.option == option && e.theirs.state == State::Yes)
    }

    /// Whether we use the option.
    pub(crate) fn ours(&self, option: u8) -> bool {
        self.entries.iter().any(|e| e.option == option && e.ours.state == State::Yes)
    }

    /// Takes a word of the other end.
    pub(crate) fn received(&mut self, verb: Verb, option: u8) -> Reaction {
        let theirs = matches!(verb, Verb::Will | Verb::Wont);
        let yes = matches!(verb, Verb::Will | Verb::Do);
        let Some(entry) = self.find(option) else {
            let answer = yes && self.may_refuse();
            let no = if theirs { Verb::Dont } else { Verb::Wont };
            return Reaction { answer: answer.then_some(no), ..Reaction::default() };
        };
        let side = if theirs { &mut entry.theirs } else { &mut entry.ours };
        let before = side.state == State::Yes;
        let mut answer = side.heard(yes);
        let after = side.state == State::Yes;
        let change = (before != after).then_some(after);
        if answer == Some(false) && yes && !self.may_refuse() {
            answer = None;
        }
        let word = |yes| match (theirs, yes) {
            (true, true) => Verb::Do,
            (true, false) => Verb::Dont,
            (false, true) => Verb::Will,
            (false, false) => Verb::Wont,
        };
        Reaction {
            answer: answer.map(word),
            theirs: change.filter(|_| theirs),
            ours: change.filter(|_| !theirs),
        }
    }

    const fn may_refuse(&mut self) -> bool {
        self.refusals = self.refusals.saturating_add(1);
        self.refusals <= REFUSALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossing_wishes_agree_without_more_words() {
        let mut options = Options::new(&[(0, true, true)]);
        assert_eq!(options.want_ours(0), Some(Verb::Will));
        assert_eq!(options.want_theirs(0), Some(Verb::Do));
        // Our DO is crossed by their WILL: agreement.
        let reaction = options.received(Verb::Will, 0);
        assert_eq!(reaction, Reaction { theirs: Some(true), ..Reaction::default() });
        assert_eq!(options.received(Verb::Do, 0).answer, None);
        assert!(options.ours(0) && options.theirs(0));
        // What is repeated is not answered.
        for _ in 0..1000 {
            assert_eq!(options.received(Verb::Will, 0), Reaction::default());
        }
        // An end of it is answered once.
        let reaction = options.received(Verb::Wont, 0);
        assert_eq!((reaction.answer, reaction.theirs), (Some(Verb::Dont), Some(false)));
        assert_eq!(options.received(Verb::Wont, 0), Reaction::default());
    }

    #[test]
    fn other_options_are_refused_but_not_for_ever() {
        let mut options = Options::new(&[(0, true, true), (1, false, false)]);
        let answers: Vec<_> =
            (0..1000).filter_map(|_| options.received(Verb::Will, 44).answer).collect();
        assert_eq!(answers, [Verb::Dont; 256]);
        assert_eq!(options.received(Verb::Do, 1).answer, None);
        assert_eq!(options.received(Verb::Wont, 44), Reaction::default());
        assert_eq!(Options::new(&[]).received(Verb::Do, 24).answer, Some(Verb::Wont));
    }

    #[test]
    fn a_refused_wish_ends() {
        let mut options = Options::new(&[(232, false, true)]);
        assert_eq!(options.want_theirs(232), Some(Verb::Do));
        assert_eq!(options.received(Verb::Wont, 232), Reaction::default());
        assert!(!options.theirs(232));
        // It may still be offered later.
        let reaction = options.received(Verb::Will, 232);
        assert_eq!((reaction.answer, reaction.theirs), (Some(Verb::Do), Some(true)));
    }
}
